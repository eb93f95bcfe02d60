"""Transferred networks at rest: weights and a record from which the whole is built again."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from bgdata.errors import InputError
from models.classifiers.libraries import LIBRARIES
from models.transfer.backbones import FeatureNetwork
from models.transfer.classification import Classification
from models.transfer.detection import Detection
from models.transfer.loading import load_backbone, load_pooled, rebuild_backbone, rebuild_pooled
from models.transfer.modes import MODES
from models.transfer.segmentation import Segmentation
from models.transfer.settings import BackboneSettings
from models.transfer.task_settings import ClassificationSettings, DetectionSettings, SegmentationSettings
from models.transfer.tasks import Task
from models.weights.files import load_weights, read_network, save_network

_NEEDED = ("task", "mode", "network", "backbone", "categories", "seed")


def open_task(name: str, network: Mapping[str, Any]) -> Task:
    """The task of a name, with the settings of its networks.

    Raises InputError where there is no such task.
    """
    if name == "detection":
        return Detection(DetectionSettings.model_validate(network))
    if name == "segmentation":
        return Segmentation(SegmentationSettings.model_validate(network))
    if name == "classification":
        return Classification(ClassificationSettings.model_validate(network))
    raise InputError(f"{name!r} is no task: give detection, segmentation or classification")


def load_for(task: str, settings: BackboneSettings, *, runs: Path, seed: int) -> tuple[FeatureNetwork, dict[str, Any]]:
    """The backbone that settings name, in the form that a task stands on, and a record of what it is.

    Raises InputError as `load_backbone` does.
    """
    load = load_pooled if task == "classification" else load_backbone
    return load(settings, runs=runs, seed=seed)


def save_transfer(path: Path, network: nn.Module, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a trained network with its record (task, mode, network: its settings, backbone: the record of it,
    categories, seed, and what else is known); returns the record completed.
    """
    return save_network(path, network, record, versions={library: version(library) for library in LIBRARIES})


def load_transfer(path: Path) -> tuple[Task, nn.Module, dict[str, Any]]:
    """A trained network in evaluation mode, on the CPU, with its task and its record.

    Raises InputError where the file is missing, broken, holds code, is another program's, or belies its own record.
    """
    state, record = read_network(path, _NEEDED, stage="transfer_train", advice="train it (dvc repro transfer_train)")
    try:
        task, mode = open_task(record["task"], record["network"]), MODES[record["mode"]]
    except (ValidationError, KeyError):
        raise InputError(
            f"{path} was written with settings or a mode that are none (any more): train it again (dvc repro "
            "transfer_train)"
        ) from None
    rebuild = rebuild_pooled if task.name == "classification" else rebuild_backbone
    network = task.build(mode(rebuild(record["backbone"])), len(record["categories"]))
    load_weights(network, state, source=str(path))
    return task, network.eval(), record
