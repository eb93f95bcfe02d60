"""PASCAL VOC 2012: palette PNGs whose index is the category, and 255 where nobody is asked."""

from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.io import decode_palette
from bgdata.segmentation_sets.base import (
    OWN_CATEGORIES,
    Sample,
    Truth,
    check_samples,
    count_samples,
    find_folder,
    read_image,
    read_names,
    read_table,
    truth_of,
)

VOID = 255
# Their order is the index in the masks, from 1; VOC's joined words are parted, since they are prompts here.
CATEGORIES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
)
_PLACES = ("", "VOC2012", "VOCdevkit/VOC2012")


class VocSet:
    """The photos of `ImageSets/Segmentation/<split>.txt` with their class masks.

    `root` is VOC2012 or a folder above it (VOCdevkit, or where that was unpacked). A table `categories.csv` in VOC2012
    (index,category) takes the place of the twenty categories. Listing the samples reads all masks, a few seconds.

    Raises InputError where a file is missing, or a mask is none or holds an index without a category.
    """

    clustered_by: Literal["image"] = "image"

    def __init__(self, root: Path, *, split: str = "val") -> None:
        names_file = f"ImageSets/Segmentation/{split}.txt"
        self._root = find_folder(root, _PLACES, names_file)
        self.name = f"voc/{split}"
        self._indices = {category: index for index, category in _categories(self._root).items()}
        stems = read_names(self._root / names_file)
        bar = tqdm(stems, desc=f"listing {self.name}", unit="mask", mininterval=1.0)
        self.samples = tuple(sample for stem in bar for sample in self._samples(stem))
        self.counts = count_samples(self.samples, images=len(stems))
        check_samples(self.samples, self._root, images=len(stems))

    def read(self, sample: Sample) -> Truth:
        """Decode the photo and its mask; see `SegmentationSet`."""
        path = self._root / "JPEGImages" / f"{sample.image_id}.jpg"
        image, indices = read_image(path), self._read_mask(sample.image_id)
        if image.shape[:2] != indices.shape:
            raise InputError(
                f"{self._mask_path(sample.image_id)} is {indices.shape[0]}x{indices.shape[1]}, its photo is "
                f"{image.shape[0]}x{image.shape[1]} (height x width): unpack VOC2012 again"
            )
        return truth_of(image, indices == self._indices[sample.category], indices == VOID)

    def _samples(self, stem: str) -> list[Sample]:
        present = set(np.flatnonzero(np.bincount(self._read_mask(stem).ravel())).tolist()) - {0, VOID}
        unknown = present - set(self._indices.values())
        if unknown:
            raise InputError(
                f"{self._mask_path(stem)} holds the index {min(unknown)}, which is no category (1 to "
                f"{max(self._indices.values())}, 255 for void): is it from SegmentationObject?"
            )
        categories = [category for category, index in self._indices.items() if index in present]
        return [Sample(f"{stem}/{category}", stem, category, cluster=stem) for category in categories]

    def _read_mask(self, stem: str) -> UInt8[np.ndarray, "h w"]:
        path = self._mask_path(stem)
        try:
            return decode_palette(path.read_bytes())
        except FileNotFoundError:
            raise InputError(f"{path} is missing: unpack VOC2012 again") from None
        except InputError as error:
            raise InputError(f"{path}: {error}; unpack VOC2012 again") from None

    def _mask_path(self, stem: str) -> Path:
        return self._root / "SegmentationClass" / f"{stem}.png"


def voc_palette() -> UInt8[np.ndarray, "256 3"]:
    """VOC's colours (RGB) of the indices: their bits, in threes, are the colours' high bits."""
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    bits = [((index >> (3 * place + channel)) & 1) << (7 - place) for place in range(3)]
    return np.bitwise_or.reduce(bits).astype(np.uint8)


def _categories(root: Path) -> dict[int, str]:
    path = root / OWN_CATEGORIES
    if not path.is_file():
        return dict(enumerate(CATEGORIES, start=1))
    table = read_table(path, key="index")
    try:
        return {int(index): category for index, category in table.items()}
    except ValueError:
        raise InputError(f"{path}: the column index must hold numbers from 1 to 254") from None
