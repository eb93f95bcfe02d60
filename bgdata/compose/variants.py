"""The eight variants of ImageNet-9, each a short function of a photo (and, where mixed, of another's background).

Source: Xiao et al. 2021, table 1.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bgdata.compose.background import tile_background
from bgdata.compose.paste import paste_foreground
from bgdata.geometry import Box


@dataclass(frozen=True)
class Cutout:
    """A cropped photo with its foreground: everything that its variants are made from."""

    image: UInt8[np.ndarray, "c c 3"]
    alpha: Bool[np.ndarray, "c c"] | Float32[np.ndarray, "c c"]
    box: Box

    @property
    def black(self) -> UInt8[np.ndarray, "c c 3"]:
        """An empty canvas, read-only."""
        return _black(self.image.shape)


@lru_cache(1)
def _black(shape: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(shape, np.uint8)
    canvas.flags.writeable = False
    return canvas


def original(photo: Cutout) -> np.ndarray:
    """The photo."""
    return photo.image


def only_bg_b(photo: Cutout) -> np.ndarray:
    """The box black."""
    blacked = photo.image.copy()
    blacked[photo.box.y0 : photo.box.y1, photo.box.x0 : photo.box.x1] = 0
    return blacked


def only_bg_t(photo: Cutout) -> np.ndarray:
    """The box covered by tiles of the background."""
    return tile_background(photo.image, photo.box)


def no_fg(photo: Cutout) -> np.ndarray:
    """The foreground's shape black."""
    return paste_foreground(photo.image, photo.black, photo.alpha)


def only_fg(photo: Cutout) -> np.ndarray:
    """All but the foreground black."""
    return paste_foreground(photo.black, photo.image, photo.alpha)


def mixed(photo: Cutout, background: np.ndarray) -> np.ndarray:
    """The foreground on another photo's `only_bg_t` (mixed_same, mixed_rand, mixed_next: by whose it is)."""
    return paste_foreground(background, photo.image, photo.alpha)


UNMIXED = {
    "original": original,
    "only_bg_b": only_bg_b,
    "only_bg_t": only_bg_t,
    "no_fg": no_fg,
    "only_fg": only_fg,
}
