"""Backgrounds: the tiled one of a photo, and the choice of another photo's.

Source: Xiao et al. 2021, section 2 and appendix A. The authors drew without a seed, and an image could get its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.geometry import Box


def tile_background(image: UInt8[np.ndarray, "h w 3"], box: Box) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its box covered by background: the largest full-height or full-width strip beside the box,
    repeated from (0, 0), shows inside the box only.

    Raises ValueError where the box leaves no strip (see `has_strip`).
    """
    height, width = image.shape[:2]
    beside = [(1, 0, box.x0), (1, box.x1, width - box.x1), (0, 0, box.y0), (0, box.y1, height - box.y1)]
    # The strip's area is its length times the other side; the first of equals counts (left, right, above, below).
    axis, start, length = max(beside, key=lambda strip: strip[2] * (height if strip[0] == 1 else width))
    if length <= 0:
        raise ValueError(f"box {tuple(box)} leaves no background strip in an image of {height}x{width}")
    tiled = image.copy()
    # Views with the strip's direction first, so that one loop serves both; copies of whole runs, not pixel by pixel.
    target, source, (first, last), across = (
        (tiled.transpose(1, 0, 2), image.transpose(1, 0, 2), (box.x0, box.x1), slice(box.y0, box.y1))
        if axis == 1
        else (tiled, image, (box.y0, box.y1), slice(box.x0, box.x1))
    )
    place = first
    while place < last:
        phase = place % length
        run = min(length - phase, last - place)
        target[place : place + run, across] = source[start + phase : start + phase + run, across]
        place += run
    return tiled


def has_strip(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box leaves any background strip in an image of `size` (height, width)."""
    height, width = size
    return box.x0 > 0 or box.y0 > 0 or box.x1 < width or box.y1 < height


class BackgroundChoice:
    """Draws backgrounds among a split's photos, by class and never the foreground's own.

    `ids_by_label` holds each class's photo ids in a fixed order.
    """

    def __init__(self, ids_by_label: Mapping[int, Sequence[str]], classes: ClassList) -> None:
        self._classes = classes
        self._ids = {label: list(ids) for label, ids in ids_by_label.items() if ids}
        self._members = {label: frozenset(ids) for label, ids in self._ids.items()}
        self._labels = sorted(self._ids)

    def same_class(self, own: str, label: int, rng: np.random.Generator) -> tuple[str, int]:
        """Another photo's id of the same class, and its label."""
        return self._draw(own, label, rng), label

    def next_class(self, own: str, label: int, rng: np.random.Generator) -> tuple[str, int]:
        """A photo's id of the next class of the list (after the last, the first), and its label."""
        following = (label + 1) % len(self._classes)
        return self._draw(own, following, rng), following

    def any_class(self, own: str, label: int, rng: np.random.Generator) -> tuple[str, int]:
        """A photo's id of a class drawn uniformly, the own class included, and its label."""
        del label
        drawn = self._labels[rng.integers(len(self._labels))]
        return self._draw(own, drawn, rng), drawn

    def other_class(self, own: str, label: int, rng: np.random.Generator) -> tuple[str, int]:
        """A photo's id of a class drawn uniformly among the others, and its label."""
        count = len(self._labels) - (label in self._ids)
        if not count:
            raise InputError(
                f"all photos are {self._classes.folders[label]}: mixed_rand from other classes needs a second class"
            )
        place = int(rng.integers(count))
        # Of the others: the own class is stepped over.
        drawn = self._labels[place + (count < len(self._labels) and self._labels[place] >= label)]
        return self._draw(own, drawn, rng), drawn

    def _draw(self, own: str, label: int, rng: np.random.Generator) -> str:
        ids = self._ids.get(label, [])
        others = len(ids) - (own in self._members.get(label, ()))
        if others < 1:
            raise InputError(
                f"class {self._classes.folders[label]} has {len(ids)} usable photos in this split, but {own} needs the "
                "background of another one of that class: add photos of it, or relax ingest.filters and segment.quality"
            )
        drawn = ids[int(rng.integers(others))]
        # The last one, never drawn otherwise, stands in for the own photo: uniform without a retry.
        return ids[-1] if drawn == own else drawn
