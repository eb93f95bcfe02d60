"""DAVIS-2016: sequences of frames, each with one mask of all that moves."""

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.io import decode_mask
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

_PLACES = ("", "DAVIS")


class DavisSet:
    """The frames of `ImageSets/480p/<split>.txt`; a sample is one frame and its sequence's category.

    The categories are those of `davis_categories.csv` (ours, for the fifty sequences of 2016: DAVIS has none), those of
    a table `categories.csv` (sequence,category) in the root before them; a sequence's name is never the prompt. Listing
    the samples reads all masks, a few seconds.

    Frames whose files are missing or whose mask cannot be read are left out and counted.

    Raises InputError where the list is missing or broken, a sequence has no category, or more than the share
    `max_unusable` of the frames is of no use.
    """

    clustered_by: Literal["sequence"] = "sequence"

    def __init__(self, root: Path, *, split: str = "val", max_unusable: float = 0.0) -> None:
        list_file = f"ImageSets/480p/{split}.txt"
        self._root = find_folder(root, _PLACES, list_file)
        self.name = f"davis/{split}"
        frames = read_frames(self._root / list_file)
        categories = self._categories()
        for sequence in dict.fromkeys(frame.split("/")[0] for frame in frames):
            if sequence not in categories:
                raise InputError(
                    f"the sequence {sequence} has no category to look for: name it in {self._root / OWN_CATEGORIES} "
                    "(columns sequence,category)"
                )
        self._files = frames
        self._places = Places((self._root,))
        bar = tqdm(frames, desc=f"listing {self.name}", unit="mask", mininterval=1.0)
        listed = list_samples(bar, lambda frame: self._samples(frame, categories))
        self.samples, self.unusable = listed.samples, listed.unusable
        check_unusable(self.unusable, total=len(frames), limit=max_unusable, where=self._root / list_file)
        self.counts = count_samples(self.samples, images=len(frames))
        check_samples(self.samples, self._root, images=len(frames))

    def read(self, sample: Sample) -> Truth:
        """Decode a frame and its mask; see `SegmentationSet`."""
        image = read_photo(self._place(sample.image_id, 0, "missing_photo"))
        mask = self._read_mask(sample.image_id)
        check_size(image, mask.shape, sample.image_id)
        return truth_of(image, mask)

    def _samples(self, frame: str, categories: dict[str, str]) -> list[Sample]:
        self._place(frame, 0, "missing_photo")
        sequence = frame.split("/")[0]
        is_shown = self._read_mask(frame).any()
        return [Sample(id=frame, image_id=frame, category=categories[sequence], cluster=sequence)] if is_shown else []

    def _read_mask(self, frame: str) -> Bool[np.ndarray, "h w"]:
        return read_truth(self._place(frame, 1, "missing_mask"), decode_mask)

    def _place(self, frame: str, which: int, reason: str) -> Path:
        name = self._files[frame][which]
        path = self._places.find(name)
        if path is None:
            raise UnusableTruth(reason, f"{name} is not in {self._root}")
        return path

    def _categories(self) -> dict[str, str]:
        own = self._root / OWN_CATEGORIES
        return davis_categories() | (read_categories(own, key="sequence") if own.is_file() else {})


@cache
def davis_categories() -> dict[str, str]:
    """The category of each sequence of DAVIS-2016."""
    with as_file(files("bgdata.segmentation_sets").joinpath("davis_categories.csv")) as path:
        return read_categories(path, key="sequence")


def read_frames(path: Path) -> dict[str, tuple[str, str]]:
    """Read a list of lines `/JPEGImages/... /Annotations/...`: photo and mask below the root, by `sequence/frame`.

    Raises InputError where a line is not of that form.
    """
    frames = {}
    for number, line in enumerate(read_names(path), start=1):
        pair = line.split()
        parts = Path(pair[0]).parts
        if len(pair) != 2 or len(parts) < 3:
            raise InputError(f"{path}:{number}: expected `/JPEGImages/... /Annotations/...`, got `{line}`")
        photo, mask = (name.lstrip("/") for name in pair)
        frames[f"{parts[-2]}/{Path(photo).stem}"] = (photo, mask)
    return frames
