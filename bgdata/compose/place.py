"""Moving and scaling a foreground: image and alpha in step, kept inside the frame where it fits.

ForAug (Nauen et al. 2025) draws both anew each time an image is shown, and judges by the cells of a 3 x 3 grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bgdata.compose.settings import PlacementSettings
from bgdata.compose.variants import Cutout
from bgdata.geometry import mask_box, resize_pixels
from bgdata.randomness import image_generator

Alpha = TypeVar("Alpha", Bool[np.ndarray, "h w"], Float32[np.ndarray, "h w"])
# The cells by row and column.
CELLS = (
    ("top_left", "top", "top_right"),
    ("left", "centre", "right"),
    ("bottom_left", "bottom", "bottom_right"),
)
_CELL_OF = {name: (row, column) for row, names in enumerate(CELLS) for column, name in enumerate(names)}


@dataclass(frozen=True)
class Place:
    """Where a foreground goes, and how large.

    `centre` (x, y) is where the middle of its box goes, in shares of the frame; or `room` (x, y) shares the room that
    is left around it: 0 is the left or upper edge, 1 the right or lower one. None of both: its middle stays.
    """

    factor: float = 1.0
    centre: tuple[float, float] | None = None
    room: tuple[float, float] | None = None

    @property
    def keeps(self) -> bool:
        """Whether nothing moves."""
        return self.factor == 1.0 and self.centre is None and self.room is None


# Nothing moves.
KEPT = Place()


def cell(name: str) -> tuple[float, float]:
    """The middle (x, y) of a cell of the 3 x 3 grid, in shares of the frame."""
    row, column = _CELL_OF[name]
    return (column + 0.5) / 3, (row + 0.5) / 3


def draw_place(settings: PlacementSettings, draws: Sequence[float]) -> Place:
    """The place that settings and three numbers in [0, 1) say: size, and x and y where the position is random."""
    low, high = settings.size
    factor = low + draws[0] * (high - low)
    if settings.position == "random":
        return Place(factor, room=(draws[1], draws[2]))
    return _fixed_place(factor, settings.position)


@lru_cache(maxsize=16)
def _fixed_place(factor: float, position: str) -> Place:
    """One for all photos where nothing is drawn: a plan of millions is smaller, and sent sooner."""
    return Place(factor, None if position == "keep" else cell(position))


def photo_place(settings: PlacementSettings, *, seed: int, photo: str, variant: str) -> Place:
    """The place of a photo's foreground in one of its mixed variants, from (seed, image id) alone."""
    low, high = settings.size
    if low == high and settings.position != "random":
        return _fixed_place(low, settings.position)
    return draw_place(settings, image_generator(seed, photo, f"placement.{variant}").random(3).tolist())


def placed(cutout: Cutout, place: Place) -> Cutout:
    """A photo's cut-out with its foreground elsewhere; what stands around the foreground is black."""
    image, alpha = move_foreground(cutout.image, cutout.alpha, place)
    return replace(cutout, image=image, alpha=alpha)


def move_foreground(
    image: UInt8[np.ndarray, "h w 3"], alpha: Alpha, place: Place
) -> tuple[UInt8[np.ndarray, "h w 3"], Alpha]:
    """The image and its alpha (the hard mask, or a soft one) with the foreground at its place.

    The box around what is not 0 in the alpha is cut out, scaled (area averages down, bilinear up; a mask as crops scale
    it) and put in; one that is larger than the frame is cut on both sides. Without scaling every pixel is the image's.
    """
    if place.keeps:
        return image, alpha
    box = mask_box(alpha if alpha.dtype == np.bool_ else alpha > 0)
    if box is None:
        return image, alpha
    piece, shape = image[box.y0 : box.y1, box.x0 : box.x1], alpha[box.y0 : box.y1, box.x0 : box.x1]
    size = (max(round(piece.shape[0] * place.factor), 1), max(round(piece.shape[1] * place.factor), 1))
    piece, shape = resize_pixels(piece, size), _resize_alpha(shape, size)
    frame = image.shape[:2]
    middle = ((box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2)
    if place.centre is not None:
        middle = (place.centre[1] * frame[0], place.centre[0] * frame[1])
    room = (None, None) if place.room is None else (place.room[1], place.room[0])
    (ys, from_y), (xs, from_x) = (_span(frame[axis], size[axis], middle[axis], room[axis]) for axis in (0, 1))
    moved, there = np.zeros_like(image), np.zeros_like(alpha)
    moved[ys, xs], there[ys, xs] = piece[from_y, from_x], shape[from_y, from_x]
    return moved, there


def _span(frame: int, length: int, middle: float, room: float | None) -> tuple[slice, slice]:
    """Along one axis: where a piece of this length lies in the frame, and which part of the piece that is."""
    left = frame - length
    if left < 0:  # larger than the frame: its middle part
        return slice(0, frame), slice(-left // 2, -left // 2 + frame)
    start = int(room * (left + 1)) if room is not None else round(middle - length / 2)
    start = min(max(start, 0), left)
    return slice(start, start + length), slice(0, length)


def _resize_alpha(alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if alpha.shape == size:
        return alpha
    if alpha.dtype != np.bool_:
        way = cv2.INTER_AREA if size[0] < alpha.shape[0] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(np.ascontiguousarray(alpha), size[::-1], interpolation=way))
    grey = np.ascontiguousarray(alpha).view(np.uint8) * np.uint8(255)
    return resize_pixels(grey, size) >= 128
