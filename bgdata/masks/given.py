"""Reads the masks that people have: 0 and 1, 0 and 255, palettes, opacity, one colour, any depth.

A mask that can be read in two ways is none: it is left out and counted, never taken as empty or full.
"""

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.io import Channels, decode_channels, decode_mask

# Values up to here, beside 255, are numbers of objects (255: void), not shades.
_LAST_LABEL = 31
# A PNG's header: a bit a pixel, grey. Ours are, and cannot mean two things.
_BILEVEL = (b"\x89PNG", b"\x01\x00")
# They write neither greys nor edges exactly.
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")
_TINT = 24
_INVERTED_EDGE = 0.95


class UnusableMask(Exception):
    """A mask that cannot be used; `args[0]` is the reason, a word of the manifest."""


def read_given_mask(data: bytes, size: tuple[int, int], box: Box | None) -> Bool[np.ndarray, "h w"]:
    """The foreground of a mask's file for a photo of `size` (height, width) whose object lies in `box` (None: unknown).

    Foreground is what is opaque; else the brighter half of the greys, or the one colour beside black (so 1 of 0 and 1).

    Raises UnusableMask: `unreadable_mask`; `size_mismatch` (not its photo's); `ambiguous_mask` (several colours or
    numbers of objects, or colours and opacity that say different things); `inverted_mask` (most of what lies outside
    the box is foreground; without a box, the photo's edge).
    """
    try:
        read = decode_mask(data) if (data[:4], data[24:26]) == _BILEVEL else decode_channels(data)
    except InputError:
        raise UnusableMask("unreadable_mask") from None
    shape = (read.values if isinstance(read, Channels) else read).shape[:2]
    if shape != size:
        raise UnusableMask("size_mismatch")
    mask = _foreground(read) if isinstance(read, Channels) else read
    if _is_inverted(mask, box):
        raise UnusableMask("inverted_mask")
    return mask


def is_plain(data: bytes, mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a file is a PNG that `decode_mask` reads as this mask, so that it can stay as it is."""
    return data.startswith(b"\x89PNG") and np.array_equal(decode_mask(data), mask)


def _foreground(channels: Channels) -> Bool[np.ndarray, "h w"]:
    values, alpha = channels.values, channels.alpha
    by_alpha = None if alpha is None or _is_constant(alpha) else alpha >= 128
    by_values = _by_values(values, lossy=channels.format in _LOSSY)
    if by_alpha is None:
        if by_values is None:
            raise UnusableMask("ambiguous_mask")
        return by_values
    if by_values is not None and not _is_constant(values) and not np.array_equal(by_values, by_alpha):
        raise UnusableMask("ambiguous_mask")
    return by_alpha


def _by_values(values: Shaped[np.ndarray, "h w *channels"], *, lossy: bool) -> Bool[np.ndarray, "h w"] | None:
    """The foreground by grey values or colours; None where they can be read in two ways."""
    if values.ndim == 3:
        single = _one_channel(values, tolerance=_TINT if lossy else 0)
        if single is None:
            return _beside_black(values)
        values = single
    found = np.unique(values)
    if len(found) <= 2 and found[0] == 0:
        return values > 0
    if not lossy and 0 < max(found[found != 255], default=0) <= _LAST_LABEL and found[-1] > 1:
        return None
    half = _half(values.dtype, float(found[-1]))
    return values >= half if found[-1] >= half else None


def _half(dtype: np.dtype, most: float) -> float:
    """The middle of the greys that a file of this depth has."""
    if dtype.kind == "f":
        return 0.5 if most <= 1 else 128.0
    return 128.0 if dtype.itemsize == 1 else 32768.0


def _one_channel(colours: UInt8[np.ndarray, "h w 3"], *, tolerance: int) -> UInt8[np.ndarray, "h w"] | None:
    """The grey values of colours that are grey, or shades of pure red, green or blue; None of others."""
    if (np.ptp(colours, axis=-1) <= tolerance).all():
        return colours[..., 1]
    used = [channel for channel in range(3) if colours[..., channel].any()]
    return colours[..., used[0]] if len(used) == 1 else None


def _beside_black(colours: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"] | None:
    """Where the one colour is that is there beside black; None where there are others."""
    coloured = np.asarray(colours.any(axis=-1))
    shades = colours[coloured]
    single = bool((shades == shades[:1]).all()) and not coloured.all()
    return coloured if single else None


def _is_constant(values: np.ndarray) -> bool:
    return bool((values == values[:1, :1]).all())


def _is_inverted(mask: Bool[np.ndarray, "h w"], box: Box | None) -> bool:
    outside = np.ones_like(mask)
    x0, y0, x1, y1 = box.clipped((mask.shape[0], mask.shape[1])) if box else (1, 1, -1, -1)
    outside[y0:y1, x0:x1] = False
    area = np.count_nonzero(outside)
    limit = 0.5 if box else _INVERTED_EDGE
    return bool(area and not mask.all() and np.count_nonzero(mask & outside) > limit * area)
