"""Digits as they were written: white on black, in the middle of a square."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from bgdata.geometry import resize_pixels
from bgdata.randomness import seeded_order

CLASSES = 10
SIDE = 32
# Free of ink on all sides: room for a pixel beside the digit, and for a gap around it.
MARGIN = 4
# A pixel is of the digit where it is at least a quarter white.
_INK = 64
_TEST_SHARE = 0.25


@dataclass(frozen=True)
class Digits:
    """Digits with their names; white is 255."""

    ids: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    images: UInt8[np.ndarray, f"n {SIDE} {SIDE}"]

    @property
    def masks(self) -> Bool[np.ndarray, f"n {SIDE} {SIDE}"]:
        """The ink."""
        return self.images >= _INK

    def take(self, places: list[int]) -> "Digits":
        """Those at these places, in their order."""
        return Digits(tuple(self.ids[place] for place in places), self.labels[places], self.images[places])

    def parted(self, share: float, *, seed: int, purpose: str) -> tuple["Digits", "Digits"]:
        """A seeded choice of `share` of them, and the others."""
        order = seeded_order(seed, self.ids, purpose)
        count = round(share * len(order))
        return self.take(order[:count]), self.take(order[count:])


def place_digits(grey: UInt8[np.ndarray, "n h w"], labels: Int64[np.ndarray, " n"], *, prefix: str) -> Digits:
    """Digits of any size (white is 255), resized to fill all but the margins; an id is `prefix` and a number."""
    inner = SIDE - 2 * MARGIN
    images = np.zeros((len(grey), SIDE, SIDE), np.uint8)
    for image, digit in zip(images, grey, strict=True):
        image[MARGIN:-MARGIN, MARGIN:-MARGIN] = resize_pixels(digit, (inner, inner))
    return Digits(tuple(f"{prefix}_{number:05d}" for number in range(len(grey))), labels, images)


def open_embedded(*, seed: int) -> tuple[Digits, Digits]:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, 17 greys: (train, test), a seeded quarter being test."""
    from sklearn.datasets import load_digits  # here, as it takes a second, and the report reads no digit

    found = load_digits()
    grey = (found.images * 255 / 16).round().astype(np.uint8)
    digits = place_digits(grey, found.target.astype(np.int64), prefix="digit")
    test, train = digits.parted(_TEST_SHARE, seed=seed, purpose="digits.test")
    return train, test
