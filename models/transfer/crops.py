"""Random squares of labelled images at a random scale, mirrored or not: an image and its classes in step."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from bgdata.geometry import resize_pixels
from bgdata.transfer_sets.base import VOID

_DRAWS = 10


@dataclass(frozen=True)
class Square:
    """A square of an image, which may lie partly outside; what it shows may be mirrored."""

    top: int
    left: int
    side: int
    mirrored: bool

    def image(
        self, image: UInt8[np.ndarray, "h w 3"], size: int, *, outside: Sequence[float]
    ) -> UInt8[np.ndarray, "{size} {size} 3"]:
        """What it shows of an RGB image, resized; where there is no image, the colour `outside`."""
        return resize_pixels(self._cut(image, outside), (size, size))

    def labels(self, labels: UInt8[np.ndarray, "h w"], size: int) -> UInt8[np.ndarray, "{size} {size}"]:
        """What it shows of the classes: of each pixel the nearest one's; void where there is no image."""
        return cv2.resize(self.cut_labels(labels), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)

    def cut_labels(self, labels: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "s s"]:
        """The classes in it, in the image's own resolution; void where there is no image."""
        return self._cut(labels, (float(VOID),))

    def inside(self, pixels: np.ndarray) -> np.ndarray:
        """What of the image it shows, not mirrored: a view."""
        return pixels[max(self.top, 0) : self.top + self.side, max(self.left, 0) : self.left + self.side]

    def _cut(self, pixels: np.ndarray, outside: Sequence[float]) -> np.ndarray:
        cut = self.inside(pixels)
        ends = (self.top + self.side, self.left + self.side)
        above, before = max(-self.top, 0), max(-self.left, 0)
        below, after = max(ends[0] - pixels.shape[0], 0), max(ends[1] - pixels.shape[1], 0)
        if above or below or before or after:
            cut = cv2.copyMakeBorder(cut, above, below, before, after, cv2.BORDER_CONSTANT, value=outside)
        return np.ascontiguousarray(cut[:, ::-1] if self.mirrored else cut)


def draw_square(
    labels: UInt8[np.ndarray, "h w"],
    generator: np.random.Generator,
    *,
    share: float,
    scales: tuple[float, float],
    flip: bool,
    most: float,
) -> Square:
    """A random square in an image, any place being as likely as another, by its classes.

    Its side is `share` of the image's shorter side, which is enlarged by a factor from `scales`, uniformly, beforehand:
    with a share of 1 and a factor of 2 it shows half of the side, with 1/2 all of it, somewhere in a frame of twice the
    side. It is drawn up to ten times, until no class covers more than `most` of what is not void.

    Source: mmsegmentation's `RandomResize`, `RandomCrop` (`cat_max_ratio`) and `Pad`, which puts the image in a corner.
    """
    height, width = labels.shape
    for _ in range(_DRAWS):
        factor, down, right, turn = generator.random(4).tolist()
        side = max(round(share * min(height, width) / (scales[0] + (scales[1] - scales[0]) * factor)), 1)
        top, left = round((height - side) * down), round((width - side) * right)
        square = Square(top, left, side, mirrored=flip and turn < 0.5)
        if most == 1 or _largest_share(square.inside(labels)) <= most:
            break
    return square


def _largest_share(labels: UInt8[np.ndarray, "h w"]) -> float:
    """The share of the most frequent class in what is not void; 1 where all is."""
    # bincount would make integers of eight bytes of them first.
    counts = cv2.calcHist([labels], [0], None, [VOID + 1], [0, VOID + 1]).ravel()[:VOID]
    total = float(counts.sum())
    return float(counts.max()) / total if total else 1.0
