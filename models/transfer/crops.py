"""Random squares of labelled images at a random scale, mirrored or not: an image and its classes in step."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from bgdata.geometry import resize_pixels
from bgdata.transfer_sets.base import VOID


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
        return cv2.resize(self._cut(labels, (VOID,)), (size, size), interpolation=cv2.INTER_NEAREST_EXACT)

    def _cut(self, pixels: np.ndarray, outside: Sequence[float]) -> np.ndarray:
        ends = (self.top + self.side, self.left + self.side)
        cut = pixels[max(self.top, 0) : ends[0], max(self.left, 0) : ends[1]]
        above, before = max(-self.top, 0), max(-self.left, 0)
        below, after = max(ends[0] - pixels.shape[0], 0), max(ends[1] - pixels.shape[1], 0)
        if above or below or before or after:
            cut = cv2.copyMakeBorder(cut, above, below, before, after, cv2.BORDER_CONSTANT, value=outside)
        return np.ascontiguousarray(cut[:, ::-1] if self.mirrored else cut)


def draw_square(
    size: tuple[int, int], generator: np.random.Generator, *, scales: tuple[float, float], flip: bool
) -> Square:
    """A random square in an image of `size` (height, width), any place being as likely as another.

    The image is enlarged by a factor from `scales`, uniformly, beforehand, and the square spans what was its shorter
    side: at a factor of 2 it shows half of the side, at 1/2 all of it, somewhere in a frame of twice the side.
    Source: mmsegmentation's ranges of `RandomResize`, `RandomCrop` and `Pad`, which puts the image in a corner.
    """
    factor, down, right, turn = generator.random(4)
    side = max(round(min(size) / (scales[0] + (scales[1] - scales[0]) * factor)), 1)
    top, left = (round((edge - side) * place) for edge, place in zip(size, (down, right), strict=True))
    return Square(top, left, side, mirrored=bool(flip and turn < 0.5))
