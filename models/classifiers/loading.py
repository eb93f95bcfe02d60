"""Any model, from the words of a command line: what it is made of, how its images are prepared, where it came from."""

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bgdata.classes import ClassList, check_same, read_class_list
from bgdata.errors import InputError
from models.classifiers.checkpoints import load_classifier
from models.classifiers.heads import find_head, head_keys
from models.classifiers.judged import (
    IMAGENET_CLASSES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    IN9_MEAN,
    IN9_STD,
    Judged,
)
from models.classifiers.programs import load_entry, load_exported, load_torchscript
from models.classifiers.published import NamedNetwork, build_network, other_classes
from models.classifiers.saved import saved_folder, saved_weights
from models.weights.files import file_sha256, load_weights, not_a_file
from models.weights.readings import ANY, Choice
from models.weights.states import Weights, choose_weights, is_program, read_content


@dataclass(frozen=True)
class ModelSource:
    """Which model: a name with published weights, a name with a checkpoint, a program, or a Python function.

    `class_list` is the list that is judged. `in9`: as many outputs as it has classes, in its order, else ImageNet's
    thousand. `features`: the outputs speak for no class. `mean`, `std` (RGB) and `size` (the side that images are
    resized to, pixels) override what the model says of itself. `key` and `prefix` say which of several states in a
    checkpoint.
    """

    class_list: ClassList
    checkpoint: Path | None = None
    arch: str = "resnet50"
    weights: str | None = None
    entry: str | None = None
    in9: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    size: int | None = None
    key: str | None = None
    prefix: str | None = None
    features: bool = False

    @property
    def choice(self) -> Choice:
        """Which reading of the checkpoint is meant."""
        return Choice(self.key, self.prefix)

    @property
    def classes(self) -> int:
        """How many outputs the model is said to have."""
        return len(self.class_list) if self.in9 else IMAGENET_CLASSES


@dataclass(frozen=True)
class Preparation:
    """How a network's images are prepared: statistics of RGB in [0, 1], and the side in pixels (None: as they come)."""

    mean: Sequence[float]
    std: Sequence[float]
    size: int | None = None


def load_judged(source: ModelSource) -> tuple[Judged, dict[str, Any]]:
    """The model on the CPU in evaluation mode, and a record of what it is (for result files).

    Images are normalised, in this order of precedence, by what `source` says; by what the checkpoint holds (our own
    record, MadryLab's normaliser); for pretrained weights and timm's thousand-class networks by their publisher's
    metadata; else as the official evaluator does, by the statistics of ImageNet (1000 outputs) or IN-9 (`in9`). A
    function's network is given images in [0, 1] as they are.

    Raises InputError where it cannot be loaded, does not fit, or is not said well.
    """
    source = complete_source(source)
    if source.entry is not None:
        if source.checkpoint is not None and not source.checkpoint.exists():
            raise InputError(f"{source.checkpoint} is missing: --entry {source.entry} was to read it")
        network: nn.Module = load_entry(source.entry, source.checkpoint)
        preparation, record = Preparation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), {"entry": source.entry}
    elif source.checkpoint is None:
        named = build_network(source.arch, classes=source.classes, weights=source.weights or "default")
        network, preparation = named.network, Preparation(named.mean, named.std, named.size)
        record = {"arch": f"{named.library}:{named.arch}", "weights": str(named.weights)}
    else:
        network, preparation, record = _from_checkpoint(source, source.checkpoint)
    return assemble_judged(network, preparation, source, record)


def complete_source(source: ModelSource) -> ModelSource:
    """The source, with its file of weights where `arch` is a folder that holds a network saved whole.

    Raises InputError where the folder holds none, or what reads a file is given for something else.
    """
    if source.entry is None and source.checkpoint is None and (folder := saved_folder(source.arch)) is not None:
        if source.weights not in (None, "default"):
            raise InputError(f"{folder} holds its own weights: leave out --weights {source.weights}")
        source = dataclasses.replace(source, checkpoint=saved_weights(folder), weights=None)
    if source.choice != ANY and (source.entry is not None or source.checkpoint is None):
        raise InputError("--key and --prefix choose among the states of a --checkpoint: give one, or leave them out")
    return source


def assemble_judged(
    network: nn.Module, preparation: Preparation, source: ModelSource, record: dict[str, Any]
) -> tuple[Judged, dict[str, Any]]:
    """The network with its preparation, overridden by what `source` says itself, and the record completed.

    Raises InputError where the statistics are none.
    """
    said = {key: getattr(source, key) for key in ("mean", "std", "size") if getattr(source, key) is not None}
    final = dataclasses.replace(preparation, **said)
    if len(final.mean) != 3 or len(final.std) != 3 or not all(value > 0 for value in final.std):
        raise InputError(f"mean {final.mean} and std {final.std}: expected three numbers each (RGB), std above 0")
    judged = Judged(
        network,
        class_list=None if source.features else source.class_list,
        classes=source.classes,
        by_wnid=not source.in9,
        mean=final.mean,
        std=final.std,
        size=final.size,
    ).eval()
    if source.checkpoint is not None:
        record["checkpoint"] = source.checkpoint.name
        if source.checkpoint.is_file():  # a function may read a folder
            record["checkpoint_sha256"] = file_sha256(source.checkpoint)
    return judged, record | {"classes": source.classes, "mean": [*final.mean], "std": [*final.std], "size": final.size}


def _from_checkpoint(source: ModelSource, checkpoint: Path) -> tuple[nn.Module, Preparation, dict[str, Any]]:
    check_checkpoint(source, checkpoint)
    official = Preparation(IN9_MEAN, IN9_STD) if source.in9 else Preparation(IMAGENET_MEAN, IMAGENET_STD)
    kind = is_program(checkpoint)
    if kind is not None:
        _check_one_state(source, checkpoint)
        program = load_torchscript(checkpoint) if kind == "torchscript" else load_exported(checkpoint)
        return program, dataclasses.replace(official, size=program.side), {"program": kind}
    content = read_content(checkpoint)
    if is_ours(content):
        _check_one_state(source, checkpoint)
        return _from_our_training(source, checkpoint)
    named = build_network(source.arch, classes=source.classes)
    head = head_keys(named.network)
    weights = choose_weights(content, checkpoint, named.network, choice=source.choice, free=head)
    _check_head(named.network, weights, source, checkpoint)
    load_weights(named.network, weights.state, source=str(checkpoint))
    published = published_preparation(named, weights, source)
    return named.network, published, {"arch": f"{named.library}:{named.arch}"} | dict(weights.record)


def _check_one_state(source: ModelSource, checkpoint: Path) -> None:
    if source.choice != ANY:
        raise InputError(f"{checkpoint} holds one network, read without --key and --prefix: leave them out")


def check_checkpoint(source: ModelSource, checkpoint: Path) -> None:
    """A checkpoint is there, and nothing else was given in its place.

    Raises InputError otherwise.
    """
    if not checkpoint.is_file():
        saved = (checkpoint / "config.json").is_file()
        advice = f"give --arch local-dir:{checkpoint}" if saved else "give a file of weights, or a name as --weights"
        raise InputError(f"{not_a_file(checkpoint)}: {advice}")
    if source.weights is not None:
        raise InputError("both a checkpoint and published weights were given: choose one")


def published_preparation(named: NamedNetwork, weights: Weights, source: ModelSource) -> Preparation:
    """How images are prepared for a named network with the weights of a file, before what `source` says itself."""
    size = named.size if named.library == "timm" else None
    mean, std = (IN9_MEAN, IN9_STD) if source.in9 and not named.saved else (named.mean, named.std)
    if weights.mean is not None and weights.std is not None:
        mean, std = weights.mean, weights.std
    return Preparation(mean, std, size)


def is_ours(content: Any) -> bool:
    """Whether the train stage wrote a file with this content."""
    return isinstance(content, dict) and {"state_dict", "arch", "input_size", "classes", "recipe"} <= content.keys()


def _from_our_training(source: ModelSource, checkpoint: Path) -> tuple[nn.Module, Preparation, dict[str, Any]]:
    classifier, content = load_classifier(checkpoint)
    if not source.features:
        if not source.in9 or classifier.classes != source.classes:
            raise InputError(other_classes(str(checkpoint), classifier.classes, source.classes))
        trained = read_class_list(content.get("class_list"), where=str(checkpoint))
        check_same({str(checkpoint): trained, "the data": source.class_list})
    preparation = Preparation(
        classifier.mean.flatten().tolist(), classifier.std.flatten().tolist(), classifier.input_size
    )
    record = {"arch": classifier.arch, "recipe": content["recipe"], "seed": content["seed"]}
    return classifier.network, preparation, record


def _check_head(network: nn.Module, weights: Weights, source: ModelSource, checkpoint: Path) -> None:
    bias = f"{find_head(network)}.bias"
    if bias in weights.state and weights.state[bias].shape[:1] != (source.classes,):
        raise InputError(other_classes(str(checkpoint), weights.state[bias].shape[0], source.classes))


def state_sha256(network: nn.Module) -> str:
    """The SHA-256 of all weights and buffers of a network, with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"\0{name}\0{value.dtype}\0".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
