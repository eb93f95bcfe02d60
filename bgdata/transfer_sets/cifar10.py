"""CIFAR-10 as its publisher packs it, in pickles for Python or in the binary version; neither runs any code here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bgdata.errors import InputError
from bgdata.text import read_lines
from bgdata.transfer_sets.base import LabelledImage, digest_of, read_file
from bgdata.transfer_sets.cifar10_pickles import PickledArray, as_text, read_pickle

SIDE = 32
_CLASSES = 10
_VALUES = 3 * SIDE * SIDE
_BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "val": ("test_batch",)}
# A published batch has 31 MB.
_LARGEST = 2**26


@dataclass(frozen=True)
class _Batch:
    images: UInt8[np.ndarray, "n 3 32 32"]
    labels: UInt8[np.ndarray, "n"]
    digest: str


class Cifar10:
    """CIFAR-10 from `cifar-10-batches-py` or `cifar-10-batches-bin`, in `root` or `root` itself; the test images are
    `val`. All lie in memory (150 MB of train).

    Source: the layout that www.cs.toronto.edu/~kriz/cifar.html documents, and that torchvision's CIFAR10 reads.

    Raises InputError where a file is missing, too short, no batch, or a pickle that names what no batch holds.
    """

    task = "classification"

    def __init__(self, root: Path, *, split: str) -> None:
        self.name, self.split = f"cifar10/{split}", split
        folder, form = _find(root)
        for name in (form.classes, *(name + form.ending for name in _BATCHES[split])):
            if not (folder / name).is_file():
                raise InputError(f"{folder} is not whole, {name} is missing: fetch CIFAR-10 again")
        self.categories = form.read_classes(folder / form.classes)
        if len(self.categories) != _CLASSES:
            raise InputError(f"{folder / form.classes} names {len(self.categories)} classes, expected {_CLASSES}")
        batches = {name: _read_batch(folder / f"{name}{form.ending}", form) for name in _BATCHES[split]}
        self._places = {
            f"{name}-{number:05d}": (batch, number)
            for name, batch in batches.items()
            for number in range(len(batch.labels))
        }
        self.ids: Sequence[str] = tuple(self._places)
        self.digest = digest_of([self.task, *self.categories, *(batch.digest for batch in batches.values())])

    def read(self, image_id: str) -> LabelledImage:
        """One image and its class; see `TaskSet`."""
        batch, number = self._places[image_id]
        image = np.ascontiguousarray(batch.images[number].transpose(1, 2, 0))
        return LabelledImage(image_id, image, label=int(batch.labels[number]))


@dataclass(frozen=True)
class _Form:
    """One of the two versions: its files' names, and what reads them."""

    folder: str
    ending: str
    classes: str
    read_classes: Callable[[Path], tuple[str, ...]]
    decode: Callable[[bytes], tuple[UInt8[np.ndarray, "n values"], Sequence[int]]]


def _find(root: Path) -> tuple[Path, _Form]:
    for form in _FORMS:
        for folder in (root / form.folder, root):
            if (folder / form.classes).is_file() or (folder.name == form.folder and folder.is_dir()):
                return folder, form
    names = " or ".join(form.folder for form in _FORMS)
    raise InputError(f"{root} has no CIFAR-10: expected {names} in it, as the publisher's archive unpacks")


def _read_batch(path: Path, form: _Form) -> _Batch:
    data = read_file(path, _bytes)
    pixels, labels = read_file(path, lambda _: form.decode(data))
    known = all(type(label) is int and 0 <= label < _CLASSES for label in labels)
    if not known or pixels.shape != (len(labels), _VALUES):
        raise InputError(
            f"{path} holds {len(labels)} labels and images of the shape {pixels.shape}, expected labels from 0 to "
            f"{_CLASSES - 1} and {_VALUES} values for each: fetch CIFAR-10 again"
        )
    return _Batch(pixels.reshape(-1, 3, SIDE, SIDE), np.array(labels, np.uint8), digest_of([data]))


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise InputError(f"it has {path.stat().st_size} bytes, a batch of CIFAR-10 has at most {_LARGEST}")
    return path.read_bytes()


# The binary version


def _decode_records(data: bytes) -> tuple[UInt8[np.ndarray, "n values"], Sequence[int]]:
    """Records of a label and an image."""
    if not data or len(data) % (1 + _VALUES):
        raise InputError(f"{len(data)} bytes are no whole number of records of {1 + _VALUES}")
    records = np.frombuffer(data, np.uint8).reshape(-1, 1 + _VALUES)
    return records[:, 1:], records[:, 0].tolist()


def _read_class_lines(path: Path) -> tuple[str, ...]:
    return tuple(read_lines(path))


# The pickles


def _decode_pickle(data: bytes) -> tuple[UInt8[np.ndarray, "n values"], Sequence[int]]:
    batch = read_pickle(data)
    pixels, labels = batch.get("data"), batch.get("labels")
    if not isinstance(pixels, PickledArray) or not isinstance(labels, list):
        raise InputError("expected a batch of CIFAR-10 with data and labels")
    return pixels.values(), labels


def _read_class_pickle(path: Path) -> tuple[str, ...]:
    names = read_file(path, lambda file: read_pickle(_bytes(file)).get("label_names"))
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise InputError(f"{path} has no label_names: fetch CIFAR-10 again")
    return tuple(as_text(name) for name in names)


_FORMS = (
    _Form("cifar-10-batches-py", "", "batches.meta", _read_class_pickle, _decode_pickle),
    _Form("cifar-10-batches-bin", ".bin", "batches.meta.txt", _read_class_lines, _decode_records),
)
