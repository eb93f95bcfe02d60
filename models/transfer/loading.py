"""Settings to a backbone: which network, whose weights, how its images are prepared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bgdata.errors import InputError
from models.classifiers.backbones import take_off_head
from models.classifiers.checkpoints import load_classifier
from models.classifiers.classifier import MEAN, SMALL, STD, build_classifier
from models.classifiers.judged import IMAGENET_CLASSES
from models.classifiers.libraries import resolve_name
from models.classifiers.published import NamedNetwork, build_network
from models.transfer.backbones import Backbone, PooledBackbone
from models.transfer.published import ARCH, load_published
from models.transfer.settings import BackboneSettings
from models.weights.files import file_sha256, load_weights, not_a_file
from models.weights.states import choose_weights, read_content

# Of networks that say no size of their own; ImageNet's usual one.
_SIZE = 224
_ENDINGS = (".pt", ".pth", ".tar", ".bin", ".ckpt", ".safetensors")


@dataclass(frozen=True)
class _Headless:
    """A network without its head, how its images are prepared, and a record of what it is.

    `size`: the side in pixels of the images that it was made for.
    """

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    size: int
    said: dict[str, Any]

    @property
    def record(self) -> dict[str, Any]:
        """All that result files and `rebuild_backbone` need."""
        return self.said | {"mean": [*self.mean], "std": [*self.std], "size": self.size}


def load_backbone(settings: BackboneSettings, *, runs: Path, seed: int = 0) -> tuple[Backbone, dict[str, Any]]:
    """The backbone of feature maps that settings name, on the CPU in evaluation mode, and a record of what it is.

    `runs` holds the recipes' runs; `seed` draws weights where there are none.

    Raises InputError where something is missing, does not fit, or has no feature maps.
    """
    headless = _load_headless(settings, runs=runs, seed=seed)
    return Backbone(headless.network, mean=headless.mean, std=headless.std).eval(), headless.record


def load_pooled(
    settings: BackboneSettings, *, runs: Path, size: int | None = None, seed: int = 0
) -> tuple[PooledBackbone, dict[str, Any]]:
    """The backbone of pooled features that settings name, as `load_backbone`.

    Images are resized to `size`, else to the size that the network was made for.
    """
    headless = _load_headless(settings, runs=runs, seed=seed)
    side = headless.size if size is None else size
    pooled = PooledBackbone(headless.network, mean=headless.mean, std=headless.std, size=side)
    return pooled.eval(), headless.record | {"size": side}


def rebuild_backbone(record: Mapping[str, Any]) -> Backbone:
    """The backbone that a record of `load_backbone` is of, with drawn weights: for a state dict to fill."""
    return Backbone(_rebuild(record), mean=record["mean"], std=record["std"]).eval()


def rebuild_pooled(record: Mapping[str, Any]) -> PooledBackbone:
    """The backbone that a record of `load_pooled` is of, with drawn weights: for a state dict to fill."""
    return PooledBackbone(_rebuild(record), mean=record["mean"], std=record["std"], size=record["size"]).eval()


def check_arch(name: str) -> None:
    """A network has this name (`BackboneSettings.arch`), as far as is known before anything is downloaded.

    Raises InputError otherwise, with close names.
    """
    if name not in SMALL:
        resolve_name(name, ours=SMALL)


def _load_headless(settings: BackboneSettings, *, runs: Path, seed: int) -> _Headless:
    if settings.recipe is not None:
        return _of_recipe(settings.recipe, runs)
    if settings.published is not None:
        assert settings.file is not None, "the settings check it"
        return _of_published(settings.published, Path(settings.file))
    assert settings.arch is not None, "the settings check it"
    return _of_name(settings.arch, settings.weights, seed=seed)


def _rebuild(record: Mapping[str, Any]) -> nn.Module:
    if "recipe" in record:
        network = build_classifier(record["arch"], input_size=record["made_for"], classes=IMAGENET_CLASSES).network
    else:
        network = _build_named(record["arch"], None, seed=0).network
    return accept_any_size(take_off_head(network))


def _of_recipe(recipe: str, runs: Path) -> _Headless:
    path = runs / recipe / "model.pt"
    if not path.is_file():
        trained = sorted(each.parent.name for each in runs.glob("*/model.pt"))
        raise InputError(
            f"{path} is missing: expected a run of one of {', '.join(trained) or 'no recipe (none was trained)'}, "
            f"or train the recipe first (dvc repro train@{recipe})"
        )
    classifier, content = load_classifier(path)
    made = {"arch": classifier.arch, "made_for": classifier.input_size}
    record = made | {"recipe": recipe, "seed": content["seed"]} | _file_record(path)
    mean, std = classifier.mean.flatten().tolist(), classifier.std.flatten().tolist()
    return _Headless(accept_any_size(take_off_head(classifier.network)), mean, std, classifier.input_size, record)


def _of_published(kind: str, path: Path) -> _Headless:
    named = build_network(ARCH, classes=IMAGENET_CLASSES)
    network = take_off_head(named.network)
    mean, std = load_published(network, kind, path)
    record = {"arch": _full_name(named), "published": kind} | _file_record(path)
    return _Headless(network, mean, std, _SIZE, record)


def _of_name(arch: str, weights: str | None, *, seed: int) -> _Headless:
    path = None if weights is None else Path(weights)
    is_file = path is not None and path.is_file()
    if weights is not None and not is_file and ("/" in weights or weights.endswith(_ENDINGS)):
        raise InputError(f"{not_a_file(Path(weights))}: give a file of {arch}'s weights, or a name of published ones")
    named = _build_named(arch, None if is_file else weights, seed=seed)
    whole = set(named.network.state_dict())
    network = accept_any_size(take_off_head(named.network))
    mean, std = named.mean, named.std
    record: dict[str, Any] = {"arch": _full_name(named), "weights": named.weights}
    if path is not None and is_file:
        # A head of any number of classes is none of the backbone's business.
        found = choose_weights(
            read_content(path),
            path,
            network,
            unneeded=whole - set(network.state_dict()),
            ask="save the one that is meant in a file of its own",
        )
        load_weights(network, found.state, source=str(path))
        mean, std = found.mean or mean, found.std or std
        record |= {"weights": "file"} | dict(found.record) | _file_record(path)
    return _Headless(network, mean, std, named.size or _SIZE, record)


def _build_named(arch: str, weights: str | None, *, seed: int) -> NamedNetwork:
    """A network by name, ours too, with published weights or drawn ones."""
    if arch in SMALL and weights is not None:
        raise InputError(f"{arch} is a network of this project, without published weights ({weights!r}): give a file")
    if arch in SMALL:
        network = build_classifier(arch, input_size=_SIZE, classes=IMAGENET_CLASSES, seed=seed).network
        return NamedNetwork(network, "ours", arch, None, MEAN, STD, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(arch, classes=IMAGENET_CLASSES, weights=weights)


def accept_any_size(network: nn.Module) -> nn.Module:
    """The network itself; timm's Swins, made for images of one size, take others too, their masks made anew for each.

    Source: what timm's `strict_img_size=False` sets.
    """
    for module in network.modules():
        for name, value in {"strict_img_size": False, "dynamic_mask": True}.items():
            if hasattr(module, name):
                setattr(module, name, value)
    return network


def _full_name(named: NamedNetwork) -> str:
    return named.arch if named.arch in SMALL else f"{named.library}:{named.arch}"


def _file_record(path: Path) -> dict[str, Any]:
    return {"checkpoint": path.name, "checkpoint_sha256": file_sha256(path)}
