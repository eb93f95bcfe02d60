"""Float pictures enlarged about their middle, and smeared along a line: what snow falls with."""

import math

import numpy as np
from jaxtyping import Float64


def enlarge_middle(picture: Float64[np.ndarray, "h w"], factor: float) -> Float64[np.ndarray, "height width"]:
    """The middle of a picture enlarged by `factor`, interpolated linearly, to at least the picture's own size.

    Source: `clipped_zoom` of imagecorruptions, with scipy's `zoom`: first and last points stay first and last, and
    where rounding puts the last point a hair outside the picture, it is 0.
    """
    for axis, length in enumerate(picture.shape):
        kept = math.ceil(length / factor)
        start = (length - kept) // 2
        middle = picture[start : start + kept] if axis == 0 else picture[:, start : start + kept]
        picture = _stretched(middle, round(kept * factor), axis)
    return picture


def _stretched(picture: Float64[np.ndarray, "h w"], length: int, axis: int) -> Float64[np.ndarray, "height width"]:
    last = picture.shape[axis] - 1
    place = np.arange(length) * (last / (length - 1))
    before = np.minimum(np.floor(place).astype(int), last)
    share = np.expand_dims(place - before, 1 - axis)
    stretched = np.take(picture, before, axis) * (1 - share)
    stretched += np.take(picture, np.minimum(before + 1, last), axis) * share
    return stretched * np.expand_dims(place <= last, 1 - axis)


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
    weights /= weights.sum()
    down, right = (np.ceil(steps * turn(math.radians(angle)) - 0.5).astype(int) for turn in (math.sin, math.cos))
    reach = min(len(steps), max(height, width))
    padded = np.pad(picture, reach, "edge")
    smeared, part = np.zeros_like(picture), np.empty_like(picture)
    for weight, y, x in zip(weights, down, right, strict=True):
        if abs(y) >= height or abs(x) >= width:
            break
        np.multiply(padded[reach + y : reach + y + height, reach + x : reach + x + width], weight, out=part)
        smeared += part
    return smeared
