"""Opens a set of a transfer task by its layout."""

from collections.abc import Callable
from pathlib import Path

from bgdata.errors import InputError
from bgdata.transfer_sets.base import SPLITS, TASKS, TaskSet
from bgdata.transfer_sets.cifar10 import Cifar10
from bgdata.transfer_sets.classification import FolderPhotos, ObjectCrops
from bgdata.transfer_sets.coco import CocoDetection
from bgdata.transfer_sets.semantic import PaintedObjects
from bgdata.transfer_sets.semantic_layouts import open_ade20k, open_voc
from bgdata.transfer_sets.settings import TransferSetSettings

# The folder, the split, the set's settings and the seed in; the set out.
_Opener = Callable[[Path, str, TransferSetSettings, int], TaskSet]


def _objects(root: Path, split: str, settings: TransferSetSettings, _: int) -> CocoDetection:
    return CocoDetection(root, split=split, name=settings.layout, max_unusable=settings.max_unusable)


def _painted(root: Path, split: str, settings: TransferSetSettings, seed: int) -> TaskSet:
    return PaintedObjects(_objects(root, split, settings, seed))


def _crops(root: Path, split: str, settings: TransferSetSettings, seed: int) -> TaskSet:
    return ObjectCrops(_objects(root, split, settings, seed))


def _voc(root: Path, split: str, settings: TransferSetSettings, _: int) -> TaskSet:
    return open_voc(root, split=split, max_unusable=settings.max_unusable)


def _ade20k(root: Path, split: str, settings: TransferSetSettings, _: int) -> TaskSet:
    return open_ade20k(root, split=split, max_unusable=settings.max_unusable)


def _cifar10(root: Path, split: str, _settings: TransferSetSettings, _seed: int) -> TaskSet:
    return Cifar10(root, split=split)


def _folder(root: Path, split: str, settings: TransferSetSettings, seed: int) -> TaskSet:
    assert settings.val_share is not None, "settings were checked"
    return FolderPhotos(root, split=split, val_share=settings.val_share, seed=seed)


OPENERS: dict[str, dict[str, _Opener]] = {
    "detection": {"coco": _objects, "scenes": _objects},
    "segmentation": {"coco": _painted, "scenes": _painted, "voc": _voc, "ade20k": _ade20k},
    "classification": {"cifar10": _cifar10, "folder": _folder, "scenes": _crops},
}


def open_task_set(task: str, settings: TransferSetSettings, *, root: Path, split: str, seed: int = 0) -> TaskSet:
    """One split (`train` or `val`) of the set whose files lie in `root`, for a task; `seed` parts class folders that
    are not split.

    Raises InputError where there is no such task or split, the task has no such layout, or the files are not of it.
    """
    for value, known, what in (
        (task, TASKS, "task"),
        (split, SPLITS, "split"),
        (settings.layout, OPENERS.get(task, ()), f"set of {task}"),
    ):
        if value not in known:
            raise InputError(f"{value!r} is no {what}: give one of {', '.join(known)}")
    if not root.is_dir():
        raise InputError(f"{root} is no folder: fetch the set, or name the folder into which it is unpacked")
    return OPENERS[task][settings.layout](root, split, settings, seed)
