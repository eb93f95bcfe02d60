"""What a set of a transfer task is: whole images in their own size, and what is true of each for its task."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.errors import InputError
from bgdata.io import decode_image

# A pixel of no class: it counts neither way.
VOID = 255
# The first category of sets in which all that is no object is one class.
BACKGROUND = "background"
TASKS = ("detection", "segmentation", "classification")
SPLITS = ("train", "val")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Instance:
    """One object: its label, a place in the set's categories, its box (xyxy in pixels, as annotated) and its mask, in
    which no pixel may be. `crowd`: a region of several objects that nobody parted.
    """

    label: int
    box: tuple[float, float, float, float]
    mask: Bool[np.ndarray, "h w"]
    crowd: bool = False


@dataclass(frozen=True)
class LabelledImage:
    """An RGB image in its own size, with its objects (detection; also where a set knows them besides), a class a pixel
    (segmentation; VOID counts neither way), or a class (classification).
    """

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    instances: tuple[Instance, ...] = ()
    labels: UInt8[np.ndarray, "h w"] | None = None
    label: int | None = None


@runtime_checkable
class TaskSet(Protocol):
    """One split of a set, for one task.

    `name` is what a result calls it (`coco/val2017`), `task` one of TASKS, `split` one of SPLITS; labels are places in
    `categories`.
    """

    name: str
    task: str
    split: str
    categories: tuple[str, ...]
    ids: Sequence[str]

    def read(self, image_id: str) -> LabelledImage:
        """Decode one image; may be called from several threads.

        Raises InputError, naming the file, where it cannot be read or is not what the set says.
        """
        ...

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all that decides the set's content."""
        ...


@runtime_checkable
class CutSet(Protocol):
    """A set whose images were cut from larger ones: several may show the same background."""

    def source(self, image_id: str) -> str:
        """What the larger image is called."""
        ...


def digest_of(parts: Iterable[str | bytes]) -> str:
    """SHA-256 (hex) of parts in their order; no two lists of parts share one."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "little") + data)
    return whole.hexdigest()


def digest_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 (hex) of what files are called and of their sizes, as a stage's listing holds them.

    Raises InputError where one is gone.
    """
    return digest_of(f"{name} {read_file(path, _size)}" for name, path in files)


def read_file(path: Path, decode: Callable[[Path], _T]) -> _T:
    """What `decode` makes of a file.

    Raises InputError, naming the file, where it is gone, or not what `decode` expects.
    """
    try:
        return decode(path)
    except InputError as error:
        raise InputError(f"{path}: {error}; fetch the set again") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): fetch the set again") from None


def read_photo_file(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the photo of a file; raises InputError as `read_file` does."""
    return read_file(path, lambda file: decode_image(file.read_bytes()))


def check_same_size(path: Path, image: UInt8[np.ndarray, "h w 3"], size: tuple[int, ...], *, what: str) -> None:
    """Raise InputError where a photo is not of the size (height, width) that `what` (its mask, its record) says."""
    if image.shape[:2] != size:
        raise InputError(
            f"{path} is {image.shape[0]}x{image.shape[1]}, {what} says {size[0]}x{size[1]} (height x width): fetch the "
            "set again"
        )


def _size(path: Path) -> int:
    return path.stat().st_size
