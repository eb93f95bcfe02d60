"""An image whose brightness or saturation is changed, through HSV, to the last bit as scikit-image converts."""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

# Values and saturations of some pixels, in [0, 1], in and out.
Change = Callable[
    [Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]],
    tuple[Float64[np.ndarray, "..."], Float64[np.ndarray, "..."]],
]


def change_hsv(image: UInt8[np.ndarray, "h w 3"], change: Change) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its values and saturations as `change` makes them of the old ones, and its hues as they were.

    A pixel's largest channel becomes its value, the smallest value * (1 - saturation), and the middle one lies between
    by the hue: one row of arithmetic serves all six sextants of hue. Each result is the float64 that scikit-image's
    `rgb2hsv` and `hsv2rgb` give, since their rounding errors decide the grey level where the exact result is a whole
    number; then it is cut to uint8, not rounded. Grey has hue 0: what saturates it makes it red.
    """
    red, green, blue = cv2.split(image)
    largest, smallest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    value = largest / 255.0
    delta = value - smallest / 255.0
    hue = _hue(red, green, blue, largest, np.where(delta == 0, 1, delta))
    value, saturation = change(value, delta / np.where(value == 0, 1, value))
    sextant = np.floor(hue)
    share = hue - sextant
    share = np.where(sextant.astype(np.uint8) & 1, share, 1 - share)
    high, low, middle = (_cut(level) for level in (value, value * (1 - saturation), value * (1 - share * saturation)))
    # All channels of a grey pixel are its largest and its smallest: red takes the one, the others the other.
    red = np.where(red == largest, high, np.where(red == smallest, low, middle))
    green, blue = (
        np.where(channel == smallest, low, np.where(channel == largest, high, middle)) for channel in (green, blue)
    )
    return cv2.merge((red, green, blue))


def _hue(
    red: UInt8[np.ndarray, "h w"],
    green: UInt8[np.ndarray, "h w"],
    blue: UInt8[np.ndarray, "h w"],
    largest: UInt8[np.ndarray, "h w"],
    delta: Float64[np.ndarray, "h w"],
) -> Float64[np.ndarray, "h w"]:
    """Hues in [0, 6); of equal largest channels the last one counts."""
    is_blue, is_green = blue == largest, green == largest
    after = np.where(is_blue, red, np.where(is_green, blue, green))
    before = np.where(is_blue, green, np.where(is_green, red, blue))
    corner = np.where(is_blue, 4.0, np.where(is_green, 2.0, 0.0))
    turn = (corner + (after / 255.0 - before / 255.0) / delta) / 6
    return (turn + (turn < 0)) * 6


def _cut(level: Float64[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return (np.clip(level, 0, 1) * 255).astype(np.uint8)
