"""Networks by name, of torchvision or timm, with the preprocessing that their publishers name."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torchvision
from torch import nn

from bgdata.errors import InputError
from models.zoo.judged import IMAGENET_CLASSES, IMAGENET_MEAN, IMAGENET_STD

LIBRARIES = ("torchvision", "timm")


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
    library, arch = _resolve(name)
    if weights is not None and classes != IMAGENET_CLASSES:
        raise InputError(
            f"pretrained {arch} has {IMAGENET_CLASSES} classes, {classes} were asked for: give a checkpoint"
        )
    build = _build_torchvision if library == "torchvision" else _build_timm
    return build(arch, classes, weights)


def _resolve(name: str) -> tuple[str, str]:
    library, _, arch = name.rpartition(":")
    if library and library not in LIBRARIES:
        raise InputError(f"{name!r} names no library: expected torchvision:NAME or timm:NAME")
    known: list[str] = []
    for candidate in (library,) if library else LIBRARIES:
        known += _list_names(candidate)
        if arch.split(".")[0] in known:
            return candidate, arch
    close = difflib.get_close_matches(arch, known)
    raise InputError(
        f"no classifier is called {name!r}: try {', '.join(close) or 'resnet50'} (torchvision's or timm's)"
    )


def _list_names(library: str) -> list[str]:
    if library == "torchvision":
        return torchvision.models.list_models(torchvision.models)
    import timm  # here, as it takes seconds, and most models are not its

    return timm.list_models()


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
    network = _download(lambda: torchvision.models.get_model(arch, weights=chosen), arch, chosen.name)
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
        network = _download(lambda: timm.create_model(name, pretrained=True), arch, weights)
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


def _download(build: Any, arch: str, weights: str) -> nn.Module:
    try:
        return build()
    except Exception as error:  # hubs raise what they like: urllib's, requests', their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"the weights {weights} of {arch} could not be loaded ({first}): "
            "download them elsewhere and give them as a checkpoint"
        ) from None
