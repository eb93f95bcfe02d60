"""What a set with true masks is: samples that are listed at once, and decoded one by one."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.io import decode_image

OWN_CATEGORIES = "categories.csv"


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
    """A sample that cannot be scored, and is counted instead; `args[0]` is the reason, a word of the result."""


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

    def read(self, sample: Sample) -> Truth:
        """Decode one sample; may be called from several threads.

        Raises UnusableTruth where its truth is no mask of use, InputError where its files are missing or broken.
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


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the image of a file.

    Raises InputError, naming the file, where it is missing or no image.
    """
    try:
        return decode_image(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: fetch the set again, or take it from the lists") from None
    except InputError as error:
        raise InputError(f"{path}: {error}; fetch it again") from None


def read_names(path: Path) -> list[str]:
    """Read a list: its lines that are not empty, without white space around them.

    Raises InputError where it is missing, no text or empty.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (FileNotFoundError, UnicodeDecodeError):
        raise InputError(f"{path} is missing or no text: unpack the set's lists again") from None
    if not names:
        raise InputError(f"{path} is empty: unpack the set's lists again")
    return names


def read_table(path: Path, *, key: str) -> dict[str, str]:
    """Read a CSV table of two columns, `key` and `category`; see `parse_table`."""
    return parse_table(path.read_text(encoding="utf-8"), key=key, name=str(path))


def parse_table(text: str, *, key: str, name: str) -> dict[str, str]:
    """Parse a CSV table of two columns, `key` and `category`; `name` is what an error calls it.

    Raises InputError where it is empty, or a column or a cell is missing.
    """
    rows = list(csv.DictReader(text.splitlines()))
    if not rows or not all(row.get(key) and row.get("category") for row in rows):
        raise InputError(f"{name} must have the columns {key},category and no empty cell: mend it or remove it")
    return {row[key]: row["category"] for row in rows}


def find_folder(root: Path, places: Sequence[str], marker: str) -> Path:
    """The first of the folders `root/<place>` that holds `marker`.

    Raises InputError where none does.
    """
    for place in places:
        if (root / place / marker).exists():
            return root / place
    raise InputError(f"{root} has no {marker}: expected the folder into which the set's official archives are unpacked")
