"""Boxes, resizing and the centre crop. Boxes are xyxy in pixels (x1, y1 exclusive); sizes are (height, width)."""

from collections.abc import Mapping
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

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> "Box | None":
        """The box of an index's cells `x0,y0,x1,y1`; None where they are empty, or not there."""
        edges = [cells.get(edge) for edge in cls._fields]
        return cls(*(int(edge) for edge in edges if edge)) if all(edges) else None

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
    """The central square of a photo at `crop` pixels: `crop / resize` of the shorter side, scaled.

    Source: ImageNet-9 resizes the shorter side to 256 and cuts the central 224. Cutting first and scaling the window
    alone gives the same view (the corner is rounded to the photo's pixels) in half the time.
    """

    resize: int = 256
    crop: int = 224

    def window(self, size: tuple[int, int]) -> Box:
        """The square of a photo of `size` (height, width) that becomes the crop."""
        height, width = size
        side = max(round(min(height, width) * self.crop / self.resize), 1)
        x, y = (width - side) // 2, (height - side) // 2
        return Box(x, y, x + side, y + side)

    def image(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "c c 3"]:
        """The crop of an RGB photo."""
        return self._crop(image)

    def mask(self, mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "c c"]:
        """The crop of a mask: a pixel is foreground where the mask, interpolated there, is at least one half."""
        window = self.window((mask.shape[0], mask.shape[1]))
        cut = np.negative(mask.view(np.uint8)[window.y0 : window.y1, window.x0 : window.x1])  # 1 becomes 255
        return cv2.resize(cut, (self.crop, self.crop), interpolation=cv2.INTER_LINEAR) >= 128

    def box(self, box: Box, size: tuple[int, int]) -> Box:
        """The box of a photo of `size` in the crop's pixels, clipped to it (area 0 where it lies outside)."""
        return self._unclipped(box, size).clipped((self.crop, self.crop))

    def kept_share(self, box: Box, size: tuple[int, int]) -> float:
        """The share of the (scaled) box's area that lies inside the crop, in [0, 1]."""
        whole = self._unclipped(box, size)
        return self.box(box, size).area / whole.area if whole.area else 0.0

    def _unclipped(self, box: Box, size: tuple[int, int]) -> Box:
        window = self.window(size)
        scale = self.crop / (window.x1 - window.x0)
        x, y = window.x0, window.y0
        return Box(*(round((edge - corner) * scale) for edge, corner in zip(box, (x, y, x, y), strict=True)))

    def _crop(self, pixels: np.ndarray) -> np.ndarray:
        window = self.window((pixels.shape[0], pixels.shape[1]))
        return resize_pixels(pixels[window.y0 : window.y1, window.x0 : window.x1], (self.crop, self.crop))


def resize_pixels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an `H W` or `H W 3` uint8 array to `size` (height, width): area averages down, bilinear up."""
    height, width = size
    if pixels.shape[:2] == size:
        return np.ascontiguousarray(pixels)
    high, wide = pixels.shape[:2]
    if height <= high and width <= wide and (high % height or wide % width):
        # The same bytes as of uint8, in three quarters of the time: OpenCV adds areas as float32 either way. Not so for
        # whole ratios, whose sums are integers, and where one side grows.
        sums = cv2.resize(pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        return cv2.convertScaleAbs(sums)
    shrinks = height < high or width < wide
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def mask_box(mask: Bool[np.ndarray, "h w"]) -> Box | None:
    """The tight box of a mask's foreground; None where there is none."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Box(x, y, x + width, y + height) if width else None
