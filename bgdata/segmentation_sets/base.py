"""What a set with true masks is: samples that are listed at once, and decoded one by one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.io import decode_image
from bgdata.segmentation_sets.unusable import Unusable
from bgdata.text import read_lines, read_table

OWN_CATEGORIES = "categories.csv"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Sample:
    """One image and one category: what a segmenter is asked to find.

    `category` is the prompt. `cluster` names the image or the sequence: samples of one cluster are not independent.
    """

    id: str
    image_id: str
    category: str
    cluster: str


@dataclass(frozen=True)
class Truth:
    """A sample, decoded: RGB image, the union of the category's masks, the box to start from (xyxy, x1 y1 exclusive),
    and the pixels that count neither way (None: all count). No void pixel is in the mask.
    """

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    box: Box | None
    void: Bool[np.ndarray, "h w"] | None = None


class UnusableTruth(Exception):
    """A sample that cannot be scored, and is counted instead: the reason, a word of the result, and a sentence."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@runtime_checkable
class SegmentationSet(Protocol):
    """Any set of images with true masks."""

    @property
    def name(self) -> str:
        """What the result calls the data, split included: `coco/val2017`."""

    @property
    def clustered_by(self) -> Literal["image", "sequence"]:
        """What a sample's `cluster` is."""

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, in the set's own order."""

    @property
    def counts(self) -> Mapping[str, int]:
        """`images`, `images_without_object` (they give no sample), `samples`, `categories`."""

    @property
    def unusable(self) -> Sequence[Unusable]:
        """What was left out of `samples`, in the set's own order."""

    def read(self, sample: Sample) -> Truth:
        """Decode one sample; may be called from several threads.

        Raises UnusableTruth where its truth is no mask of use, or its files are missing or broken.
        """


def count_samples(samples: Sequence[Sample], *, images: int) -> dict[str, int]:
    """The counts of a set of `images` images that gave these samples."""
    return {
        "images": images,
        "images_without_object": images - len({sample.image_id for sample in samples}),
        "samples": len(samples),
        "categories": len({sample.category for sample in samples}),
    }


def check_samples(samples: Sequence[Sample], root: Path, *, images: int) -> None:
    """Raise InputError where a set has no sample at all."""
    if not samples:
        raise InputError(
            f"{root}: none of its {images} images has an object, so nothing can be scored; check its masks"
        )


def truth_of(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], void: Bool[np.ndarray, "h w"] | None = None
) -> Truth:
    """The truth of an image and its mask, whose tight box it starts from.

    Raises UnusableTruth (`empty_truth`) where the mask has no pixel.
    """
    box = mask_box(mask)
    if box is None:
        raise UnusableTruth("empty_truth")
    return Truth(image, mask, box, void)


def read_photo(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the photo of a file.

    Raises UnusableTruth, naming the file: `missing_photo` where it is gone, `unreadable_photo` where it is no image.
    """
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise UnusableTruth("missing_photo", f"{path} cannot be read ({error.strerror})") from None
    except InputError as error:
        raise UnusableTruth("unreadable_photo", f"{path}: {error}") from None


def read_truth(path: Path, decode: Callable[[bytes], _T]) -> _T:
    """Decode the mask of a file.

    Raises UnusableTruth, naming the file: `missing_mask` where it is gone, `unreadable_mask` where it is no mask.
    """
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise UnusableTruth("missing_mask", f"{path} cannot be read ({error.strerror})") from None
    except InputError as error:
        raise UnusableTruth("unreadable_mask", f"{path}: {error}") from None


def check_size(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, ...], name: str) -> None:
    """Raise UnusableTruth (`size_mismatch`) where a mask of `size` (height, width) is not of its photo's."""
    if image.shape[:2] != size:
        raise UnusableTruth(
            "size_mismatch",
            f"the mask of {name} is {size[0]}x{size[1]}, its photo is {image.shape[0]}x{image.shape[1]} (height x "
            "width)",
        )


class Listed(NamedTuple):
    """The samples of a set's photos, and the photos that give none for a reason."""

    samples: tuple[Sample, ...]
    unusable: tuple[Unusable, ...]


def list_samples(photos: Iterable[str], samples_of: Callable[[str], Sequence[Sample]]) -> Listed:
    """List the samples of photos by name; a photo on which UnusableTruth is raised is left out."""
    samples: list[Sample] = []
    unusable: list[Unusable] = []
    for photo in photos:
        try:
            samples += samples_of(photo)
        except UnusableTruth as bad:
            unusable.append(Unusable(f"photo {photo}", bad.reason, bad.detail))
    return Listed(tuple(samples), tuple(unusable))


def read_names(path: Path) -> list[str]:
    """Read a list: its lines that are not empty, without white space around them.

    Raises InputError where it is missing, no text or empty.
    """
    names = read_lines(path)
    if not names:
        raise InputError(f"{path} is empty: unpack the set's lists again")
    return names


def read_categories(path: Path, *, key: str) -> dict[str, str]:
    """Read a CSV table of two columns, `key` and `category`.

    Raises InputError where it is empty, or a column or a cell is missing.
    """
    rows = read_table(path, (key, "category"))
    if not rows or not all(row[key] and row["category"] for row in rows):
        raise InputError(f"{path} must have the columns {key},category and no empty cell: mend it or remove it")
    return {row[key]: row["category"] for row in rows}


def find_folder(root: Path, places: Sequence[str], marker: str) -> Path:
    """The first of the folders `root/<place>` that holds `marker`.

    Raises InputError where none does.
    """
    for place in places:
        if (root / place / marker).exists():
            return root / place
    raise InputError(f"{root} has no {marker}: expected the folder into which the set's official archives are unpacked")
