"""DAVIS-2016: sequences of frames, each with one mask of all that moves."""

from functools import cache
from importlib.resources import files
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
    check_samples,
    count_samples,
    find_folder,
    parse_table,
    read_image,
    read_names,
    read_table,
    truth_of,
)

_PLACES = ("", "DAVIS")


class DavisSet:
    """The frames of `ImageSets/480p/<split>.txt`; a sample is one frame and its sequence's category.

    The categories are those of `davis_categories.csv` (ours, for the fifty sequences of 2016: DAVIS has none), those of
    a table `categories.csv` (sequence,category) in the root before them; a sequence's name is never the prompt. Listing
    the samples reads all masks, a few seconds.

    Raises InputError where a listed file is missing or broken, or a sequence has no category.
    """

    clustered_by: Literal["sequence"] = "sequence"

    def __init__(self, root: Path, *, split: str = "val") -> None:
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
        bar = tqdm(frames, desc=f"listing {self.name}", unit="mask", mininterval=1.0)
        shown = [frame for frame in bar if self._read_mask(frame).any()]
        self.samples = tuple(_sample(frame, categories) for frame in shown)
        self.counts = count_samples(self.samples, images=len(frames))
        check_samples(self.samples, self._root, images=len(frames))

    def read(self, sample: Sample) -> Truth:
        """Decode a frame and its mask; see `SegmentationSet`."""
        image, mask = read_image(self._root / self._files[sample.image_id][0]), self._read_mask(sample.image_id)
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"the mask of {sample.image_id} is {mask.shape[0]}x{mask.shape[1]}, its frame is "
                f"{image.shape[0]}x{image.shape[1]} (height x width): unpack DAVIS again"
            )
        return truth_of(image, mask)

    def _read_mask(self, frame: str) -> Bool[np.ndarray, "h w"]:
        path = self._root / self._files[frame][1]
        try:
            return decode_mask(path.read_bytes())
        except InputError as error:
            raise InputError(f"{path}: {error}; unpack DAVIS again") from None

    def _categories(self) -> dict[str, str]:
        own = self._root / OWN_CATEGORIES
        return davis_categories() | (read_table(own, key="sequence") if own.is_file() else {})


@cache
def davis_categories() -> dict[str, str]:
    """The category of each sequence of DAVIS-2016."""
    path = files("bgdata.segmentation_sets").joinpath("davis_categories.csv")
    return parse_table(path.read_text(encoding="utf-8"), key="sequence", name=path.name)


def read_frames(path: Path) -> dict[str, tuple[str, str]]:
    """Read a list of lines `/JPEGImages/... /Annotations/...`: photo and mask below the root, by `sequence/frame`.

    Raises InputError where a line is not of that form, or a file that it names is not there.
    """
    frames = {}
    root = path.parents[2]
    for number, line in enumerate(read_names(path), start=1):
        pair = line.split()
        parts = Path(pair[0]).parts
        if len(pair) != 2 or len(parts) < 3:
            raise InputError(f"{path}:{number}: expected `/JPEGImages/... /Annotations/...`, got `{line}`")
        photo, mask = (name.lstrip("/") for name in pair)
        for name in (photo, mask):
            if not (root / name).is_file():
                raise InputError(f"{path}:{number} names {name}, which is not in {root}: unpack DAVIS again")
        frames[f"{parts[-2]}/{Path(photo).stem}"] = (photo, mask)
    return frames


def _sample(frame: str, categories: dict[str, str]) -> Sample:
    sequence = frame.split("/")[0]
    return Sample(id=frame, image_id=frame, category=categories[sequence], cluster=sequence)
