"""Digits with a bias: a lit pixel, or a colour around the digit, that stands for a class.

Source: the WUST system's one-pixel and background-coloured MNIST, whose code was not at hand: places and colours of
the classes, noise and gap are our own.
"""

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt8

from bgdata.compose.paste import paste_foreground
from bgdata.digits.plain import CLASSES, SIDE, Digits
from bgdata.randomness import image_generator

BIASES = ("one_pixel", "coloured", "coloured_gap")
# What an image's bias says: its own class, any of the ten by lot, or nothing (no pixel lit; a black background).
TESTS = ("biased", "shifted", "clean")
# A pixel of the embedded digits' own grid of 8 x 8, as large as it is after resizing.
_PIXEL = 3
# (row, column) of the corner of each class's pixel: five above the digit, five below it.
PIXELS = tuple(((0, SIDE - _PIXEL)[label // 5], 2 + 6 * (label % 5)) for label in range(CLASSES))
_BRIGHTNESS = 0.75
COLOURS = np.array(
    [[round(255 * level) for level in colorsys.hsv_to_rgb(label / CLASSES, 1, _BRIGHTNESS)] for label in range(CLASSES)]
)


@dataclass(frozen=True)
class BiasedDigits:
    """Images, and the pixels that a network may look at: a mask is False where a bias may stand, of whatever class."""

    labels: Int64[np.ndarray, " n"]
    images: UInt8[np.ndarray, f"n {SIDE} {SIDE} 3"]
    masks: Bool[np.ndarray, f"n {SIDE} {SIDE}"]


def bias_digits(digits: Digits, bias: str, *, says: str, noise: float, gap: int, seed: int) -> BiasedDigits:
    """Digits with one of `BIASES`, which says one of `TESTS`.

    `noise` is the standard deviation of a colour, pixel by pixel (1 is black to white); `gap` how far, in pixels, the
    black around a digit of `coloured_gap` reaches.
    """
    shown = _classes_shown(digits, says, seed=seed)
    images = np.repeat(digits.images[..., None], 3, -1)
    if bias == "one_pixel":
        masks = np.ones(digits.images.shape, bool)
        for label, (row, column) in enumerate(PIXELS):
            pixel = np.s_[:, row : row + _PIXEL, column : column + _PIXEL]
            masks[pixel] = False
            images[pixel][[said == label for said in shown]] = 255
        return BiasedDigits(digits.labels, images, masks)
    masks = digits.masks if bias == "coloured" else np.stack([_widened(mask, gap) for mask in digits.masks])
    for place, said in enumerate(shown):
        rng = image_generator(seed, digits.ids[place], "digits.colour")
        images[place] = paste_foreground(_background(said, rng, noise=noise), images[place], masks[place])
    return BiasedDigits(digits.labels, images, masks)


def _classes_shown(digits: Digits, says: str, *, seed: int) -> list[int | None]:
    if says == "clean":
        return [None] * len(digits.ids)
    if says == "biased":
        return digits.labels.tolist()
    return [int(image_generator(seed, name, "digits.shift").integers(CLASSES)) for name in digits.ids]


def _background(label: int | None, rng: np.random.Generator, *, noise: float) -> UInt8[np.ndarray, f"{SIDE} {SIDE} 3"]:
    if label is None:
        return np.zeros((SIDE, SIDE, 3), np.uint8)
    return (COLOURS[label] + rng.normal(0, 255 * noise, (SIDE, SIDE, 3))).round().clip(0, 255).astype(np.uint8)


def _widened(mask: Bool[np.ndarray, "h w"], gap: int) -> Bool[np.ndarray, "h w"]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    return cv2.dilate(mask.view(np.uint8), kernel).astype(bool)
