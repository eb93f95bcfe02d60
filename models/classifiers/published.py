"""Networks by name, of torchvision or timm, with the preprocessing that their publishers name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torchvision
from torch import nn

from bgdata.errors import InputError
from models.classifiers.judged import IMAGENET_CLASSES, IMAGENET_MEAN, IMAGENET_STD
from models.classifiers.libraries import published, resolve_name
from models.classifiers.saved import hub_id, read_config, saved_folder


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
    # Whether the preparation is that of these very weights, whatever their classes.
    saved: bool = False


def build_network(name: str, *, classes: int, weights: str | None = None) -> NamedNetwork:
    """A network by name, `weights` by name too (None: drawn at random, for a checkpoint to fill; `default`: the best).

    `name` may say its library (`timm:resnet50`); without, torchvision's come first. Pretrained networks have
    ImageNet's 1000 classes. Networks saved whole (`hf-hub:OWNER/NAME`, a folder) have those that they say.

    Raises InputError where a name is unknown, or the weights cannot be downloaded.
    """
    folder = saved_folder(name)
    if folder is not None:
        return _build_saved(f"local-dir:{folder}", read_config(folder)["architecture"], classes, weights)
    repository = hub_id(name)
    if repository is not None and not _is_registered(repository):
        return _build_saved(f"hf-hub:{repository}", f"hf-hub:{repository}", classes, weights)
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
    # People write it as an attribute of its enum, too: ResNet50_Weights.IMAGENET1K_V2.
    key = weights.rpartition(".")[2].upper()
    if key not in named.__members__:
        raise InputError(
            f"torchvision has no weights {weights!r} for {arch}: expected one of {', '.join(named.__members__)}"
        )
    chosen = named[key]
    network = published(lambda: torchvision.models.get_model(arch, weights=chosen), arch, chosen.name)
    preparation = chosen.transforms()
    side = int(preparation.crop_size[0])
    return NamedNetwork(
        network, "torchvision", arch, chosen.name, tuple(preparation.mean), tuple(preparation.std), side
    )


def _build_timm(arch: str, classes: int, weights: str | None) -> NamedNetwork:
    import timm  # here, as it takes seconds, and most networks are not its

    name = arch if weights in (None, "default") else f"{arch.split('.')[0]}.{weights}"
    _check_tag(name)
    if weights is None:
        network = timm.create_model(name, pretrained=False, num_classes=classes)
    else:
        network = published(lambda: timm.create_model(name, pretrained=True), arch, weights)
    tag = getattr(network, "pretrained_cfg", {}).get("tag") if weights is not None else None
    return _with_preparation(network, arch, tag or weights)


def _is_registered(repository: str) -> bool:
    """Whether a repository on the hub is one of timm's own, which its names lead to without asking the hub."""
    import timm

    owner, _, name = repository.partition("/")
    return owner == "timm" and "@" not in name and bool(timm.is_model(name.partition(".")[0]))


def _build_saved(name: str, arch: str, classes: int, weights: str | None) -> NamedNetwork:
    """A network by its own configuration, in a folder (which another function fills) or on the hub."""
    import timm

    if weights not in (None, "default"):
        raise InputError(f"{name} was saved with its own weights: leave out --weights {weights}")

    how: dict[str, Any] = {"pretrained": True} if weights else {"pretrained": False, "num_classes": classes}

    def load() -> nn.Module:
        try:
            return timm.create_model(name, **how)
        except KeyError as error:
            raise ValueError(f"its config.json has no {error}: no network of timm's") from None

    network = published(load, arch, "default")
    found = int(network.num_classes)  # type: ignore[arg-type]  # a number, of every network of timm's
    if found != classes:
        raise InputError(other_classes(name, found, classes))
    return dataclasses.replace(_with_preparation(network, arch, weights), saved=True)


def other_classes(what: str, found: int, expected: int) -> str:
    """The sentence on a network with another number of classes than was said."""
    if found == IMAGENET_CLASSES:
        advice = "leave out --in9"
    elif expected == IMAGENET_CLASSES:
        advice = f"say --in9 where the data have {found} classes"
    else:
        advice = f"give a model of the data's {expected} (--in9) or of ImageNet's {IMAGENET_CLASSES} classes"
    return f"{what} has {found} classes, expected {expected}: {advice}"


def _with_preparation(network: nn.Module, arch: str, weights: str | None) -> NamedNetwork:
    """A network of timm's with the preparation that its configuration names."""
    from timm.data.config import resolve_model_data_config

    config: Mapping[str, Any] = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    mean, std, size = tuple(config["mean"]), tuple(config["std"]), int(config["input_size"][-1])
    return NamedNetwork(network, "timm", arch, weights, mean, std, size)


def _check_tag(name: str) -> None:
    from timm.models import get_arch_pretrained_cfgs

    base, _, tag = name.partition(".")
    tags = [full.partition(".")[2] for full in get_arch_pretrained_cfgs(base)]
    if tag and tag not in tags:
        raise InputError(f"timm has no weights {tag!r} for {base}: expected one of {', '.join(tags) or 'none'}")
