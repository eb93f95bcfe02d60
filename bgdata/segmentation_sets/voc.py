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
    UnusableTruth,
    check_samples,
    check_size,
    count_samples,
    find_folder,
    list_samples,
    read_categories,
    read_names,
    read_photo,
    read_truth,
    truth_of,
)
from bgdata.segmentation_sets.places import Places
from bgdata.segmentation_sets.unusable import check_unusable

VOID = 255
PHOTO_ENDINGS = (".jpg", ".jpeg", ".png")
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

    Photos without a mask that can be read, or with an index in it that is no category, are left out and counted.

    Raises InputError where the lists are missing, or more than the share `max_unusable` of the photos is of no use.
    """

    clustered_by: Literal["image"] = "image"

    def __init__(self, root: Path, *, split: str = "val", max_unusable: float = 0.0) -> None:
        names_file = f"ImageSets/Segmentation/{split}.txt"
        self._root = find_voc(root, split)
        self.name = f"voc/{split}"
        self._indices = {category: index for index, category in voc_categories(self._root).items()}
        self._photos, self._masks = (Places((self._root / folder,)) for folder in ("JPEGImages", "SegmentationClass"))
        stems = list(dict.fromkeys(read_names(self._root / names_file)))
        bar = tqdm(stems, desc=f"listing {self.name}", unit="mask", mininterval=1.0)
        listed = list_samples(bar, self._samples)
        self.samples, self.unusable = listed.samples, listed.unusable
        check_unusable(self.unusable, total=len(stems), limit=max_unusable, where=self._root / names_file)
        self.counts = count_samples(self.samples, images=len(stems))
        check_samples(self.samples, self._root, images=len(stems))

    def read(self, sample: Sample) -> Truth:
        """Decode the photo and its mask; see `SegmentationSet`."""
        image, indices = read_photo(self._photo_path(sample.image_id)), self._read_mask(sample.image_id)
        check_size(image, indices.shape, sample.image_id)
        return truth_of(image, indices == self._indices[sample.category], indices == VOID)

    def _samples(self, stem: str) -> list[Sample]:
        self._photo_path(stem)
        present = set(np.flatnonzero(np.bincount(self._read_mask(stem).ravel())).tolist()) - {0, VOID}
        unknown = present - set(self._indices.values())
        if unknown:
            raise UnusableTruth(
                "unknown_index",
                f"the mask {stem}.png holds the index {min(unknown)}, which is no category (1 to "
                f"{max(self._indices.values())}, 255 for void): is it from SegmentationObject?",
            )
        categories = [category for category, index in self._indices.items() if index in present]
        return [Sample(f"{stem}/{category}", stem, category, cluster=stem) for category in categories]

    def _read_mask(self, stem: str) -> UInt8[np.ndarray, "h w"]:
        path = self._masks.find(stem, (".png",))
        if path is None:
            raise UnusableTruth("missing_mask", f"SegmentationClass/{stem}.png is missing")
        return read_truth(path, decode_palette)

    def _photo_path(self, stem: str) -> Path:
        path = self._photos.find(stem, PHOTO_ENDINGS)
        if path is None:
            raise UnusableTruth("missing_photo", f"JPEGImages/{stem}.jpg is missing")
        return path


def find_voc(root: Path, split: str) -> Path:
    """The folder VOC2012 at or below `root`.

    Raises InputError where none holds the list of the split.
    """
    return find_folder(root, _PLACES, f"ImageSets/Segmentation/{split}.txt")


def voc_palette() -> UInt8[np.ndarray, "256 3"]:
    """VOC's colours (RGB) of the indices: their bits, in threes, are the colours' high bits."""
    index = np.arange(256)[:, None]
    channel = np.arange(3)
    bits = [((index >> (3 * place + channel)) & 1) << (7 - place) for place in range(3)]
    return np.bitwise_or.reduce(bits).astype(np.uint8)


def voc_categories(root: Path) -> dict[int, str]:
    """The categories by their index in the masks of the folder VOC2012: its `categories.csv`, or the twenty."""
    path = root / OWN_CATEGORIES
    if not path.is_file():
        return dict(enumerate(CATEGORIES, start=1))
    table = read_categories(path, key="index")
    numbered = {int(index): category for index, category in table.items() if index.isdecimal()}
    if len(numbered) < len(table) or not all(0 < index < VOID for index in numbered):
        raise InputError(f"{path}: the column index must hold numbers from 1 to 254, each once")
    return numbered
