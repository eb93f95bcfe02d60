"""Float pictures enlarged about their middle, and smeared along a line: what snow falls with."""

import math

import cv2
import numpy as np
from jaxtyping import Float64


def enlarge_middle(picture: Float64[np.ndarray, "h w"], factor: float) -> Float64[np.ndarray, "height width"]:
    """The middle of a picture enlarged by `factor`, interpolated linearly, to at least the picture's own size.

    Source: `clipped_zoom` of imagecorruptions, with scipy's `zoom`: first and last points stay first and last, and
    where rounding puts the last point a hair outside the picture, it is 0.
    """
    kept = [math.ceil(side / factor) for side in picture.shape]
    top, left = ((side - part) // 2 for side, part in zip(picture.shape, kept, strict=True))
    middle = picture[top : top + kept[0], left : left + kept[1]]
    for axis in (1, 0):
        middle = _stretched(middle, round(kept[axis] * factor), axis)
    return middle


def _stretched(picture: Float64[np.ndarray, "h w"], length: int, axis: int) -> Float64[np.ndarray, "height width"]:
    last = picture.shape[axis] - 1
    place = np.arange(length) * (last / (length - 1))
    before = np.minimum(np.floor(place).astype(int), last)
    inside = np.expand_dims(place <= last, 1 - axis)
    share = np.expand_dims(place - before, 1 - axis)
    stretched = picture.take(before, axis)
    stretched *= (1 - share) * inside
    stretched += picture.take(np.minimum(before + 1, last), axis) * (share * inside)
    return stretched


def smear(
    picture: Float64[np.ndarray, "h w"], *, radius: int, sigma: float, angle: float
) -> Float64[np.ndarray, "h w"]:
    """A picture smeared to one side: the weighted sum of 2 * radius + 1 copies, each a pixel further along `angle`.

    The weights are half a Gaussian; the angle is in degrees, clockwise from the x axis, against which the copies move.
    Outside the picture its edge goes on; copies that would leave it wholly are not added.

    Source: `_motion_blur` of imagecorruptions, after ImageMagick's motion blur.
    """
    height, width = picture.shape
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    places = np.ceil(steps[:, None] * (math.sin(math.radians(angle)), math.cos(math.radians(angle))) - 0.5).astype(int)
    inside = (abs(places) < (height, width)).all(1)
    first, last = places[inside].min(0), places[inside].max(0)
    kernel = np.zeros(last - first + 1)
    np.add.at(kernel, tuple((places - first)[inside].T), (weights / weights.sum())[inside])
    # In float64: what the sums lack in the reference's order is far below the 1/255 to which snow is rounded.
    return cv2.filter2D(picture, -1, kernel, anchor=(-int(first[1]), -int(first[0])), borderType=cv2.BORDER_REPLICATE)
