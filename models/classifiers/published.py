"""Networks by name, of torchvision or timm, with the preprocessing that their publishers name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torchvision
from torch import nn

from bgdata.errors import InputError
from models.classifiers.judged import IMAGENET_CLASSES, IMAGENET_MEAN, IMAGENET_STD
from models.classifiers.libraries import published, resolve_name


@dataclass(frozen=True)
class NamedNetwork:
    """A network and how its publisher prepares images: RGB statistics, and a side in pixels (None: as they come)."""

    network: nn.Module
    library: str
    arch: str
    weights: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int | None


def build_network(name: str, *, classes: int, weights: str | None = None) -> NamedNetwork:
    """A network by name, `weights` by name too (None: drawn at random, for a checkpoint to fill; `default`: the best).

    `name` may say its library (`timm:resnet50`); without, torchvision's come first. Pretrained networks have
    ImageNet's 1000 classes.

    Raises InputError where a name is unknown, or the weights cannot be downloaded.
    """
    library, arch = resolve_name(name)
    if weights is not None and classes != IMAGENET_CLASSES:
        raise InputError(
            f"pretrained {arch} has {IMAGENET_CLASSES} classes, {classes} were asked for: give a checkpoint"
        )
    build = _build_torchvision if library == "torchvision" else _build_timm
    return build(arch, classes, weights)


def _build_torchvision(arch: str, classes: int, weights: str | None) -> NamedNetwork:
    if weights is None:
        network = torchvision.models.get_model(arch, weights=None, num_classes=classes)
        return NamedNetwork(network, "torchvision", arch, None, IMAGENET_MEAN, IMAGENET_STD, None)
    named = torchvision.models.get_model_weights(arch)
    if weights != "default" and weights not in named.__members__:
        raise InputError(
            f"torchvision has no weights {weights!r} for {arch}: expected one of {', '.join(named.__members__)}"
        )
    chosen = named["DEFAULT" if weights == "default" else weights]
    network = published(lambda: torchvision.models.get_model(arch, weights=chosen), arch, chosen.name)
    preparation = chosen.transforms()
    side = int(preparation.crop_size[0])
    return NamedNetwork(
        network, "torchvision", arch, chosen.name, tuple(preparation.mean), tuple(preparation.std), side
    )


def _build_timm(arch: str, classes: int, weights: str | None) -> NamedNetwork:
    import timm
    from timm.data.config import resolve_model_data_config

    name = arch if weights in (None, "default") else f"{arch.split('.')[0]}.{weights}"
    if weights is None:
        network = timm.create_model(name, pretrained=False, num_classes=classes)
    else:
        network = published(lambda: timm.create_model(name, pretrained=True), arch, weights)
    config: Mapping[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    tag = getattr(network, "pretrained_cfg", {}).get("tag") if weights is not None else None
    return NamedNetwork(
        network,
        "timm",
        arch,
        tag or weights,
        tuple(config["mean"]),
        tuple(config["std"]),
        int(config["input_size"][-1]),
    )
