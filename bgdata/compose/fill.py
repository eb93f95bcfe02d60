"""Removing a foreground: what a filler is, and the hole that it fills."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8


@runtime_checkable
class Filler(Protocol):
    """Anything that fills holes in images."""

    def fill(
        self, images: Sequence[UInt8[np.ndarray, "h w 3"]], holes: Sequence[Bool[np.ndarray, "h w"]]
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Each image with its hole filled; outside of it the pixels are the image's own, to the bit.

        An answer depends on its image and hole alone. Sizes may differ within a call.
        """


def hole_of(mask: Bool[np.ndarray, "h w"], dilate: int | str) -> Bool[np.ndarray, "h w"]:
    """A stand-in."""
    import cv2

    grown = 2 * (3 if dilate == "foraug" else int(dilate)) + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((grown, grown), np.uint8)).astype(bool)
