"""Boxes, resizing and the centre crop. Boxes are xyxy in pixels (x1, y1 exclusive); sizes are (height, width)."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8


class Box(NamedTuple):
    """A rectangle in pixels; the right and lower edges are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Pixels inside; 0 where the box is turned inside out."""
        return max(self.x1 - self.x0, 0) * max(self.y1 - self.y0, 0)

    def clipped(self, size: tuple[int, int]) -> "Box":
        """The part of the box inside an image of `size` (height, width)."""
        height, width = size
        return Box(
            min(max(self.x0, 0), width),
            min(max(self.y0, 0), height),
            min(max(self.x1, 0), width),
            min(max(self.y1, 0), height),
        )


class CentreCrop(NamedTuple):
    """Resize so that the shorter side is `resize` pixels, then cut the central `crop` x `crop` square.

    Source: the geometry of ImageNet-9 (256 and 224). `resize` and `crop` scale together for other sizes.
    """

    resize: int = 256
    crop: int = 224

    def resized_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a photo of `size` after the resize."""
        height, width = size
        scale = self.resize / min(height, width)
        return max(round(height * scale), self.resize), max(round(width * scale), self.resize)

    def corner(self, size: tuple[int, int]) -> tuple[int, int]:
        """(x, y) of the crop's upper left corner in the resized photo."""
        height, width = self.resized_size(size)
        return (width - self.crop) // 2, (height - self.crop) // 2

    def image(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "c c 3"]:
        """The crop of an RGB photo."""
        return self._crop(image)

    def mask(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "c c"]:
        """The crop of a mask: a pixel is foreground where at least half of what it covers is."""
        return self._crop(mask.view(np.uint8) * np.uint8(255)) >= 128

    def box(self, box: Box, size: tuple[int, int]) -> Box:
        """The box of a photo of `size` in the crop's pixels, clipped to it (area 0 where it lies outside)."""
        return self._unclipped(box, size).clipped((self.crop, self.crop))

    def kept_share(self, box: Box, size: tuple[int, int]) -> float:
        """The share of the (resized) box's area that lies inside the crop, in [0, 1]."""
        whole = self._unclipped(box, size)
        return self.box(box, size).area / whole.area if whole.area else 0.0

    def _unclipped(self, box: Box, size: tuple[int, int]) -> Box:
        height, width = self.resized_size(size)
        x, y = self.corner(size)
        scale_x, scale_y = width / size[1], height / size[0]
        return Box(
            round(box.x0 * scale_x) - x,
            round(box.y0 * scale_y) - y,
            round(box.x1 * scale_x) - x,
            round(box.y1 * scale_y) - y,
        )

    def _crop(self, pixels: np.ndarray) -> np.ndarray:
        size = pixels.shape[:2]
        x, y = self.corner(size)
        resized = resize_pixels(pixels, self.resized_size(size))
        return np.ascontiguousarray(resized[y : y + self.crop, x : x + self.crop])


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an `H W` or `H W 3` uint8 array to `size` (height, width): area averages down, bilinear up."""
    height, width = size
    if pixels.shape[:2] == size:
        return pixels
    shrinks = height < pixels.shape[0] or width < pixels.shape[1]
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def mask_box(mask: Bool[np.ndarray, "h w"]) -> Box | None:
    """The tight box of a mask's foreground; None where there is none."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Box(x, y, x + width, y + height) if width else None
