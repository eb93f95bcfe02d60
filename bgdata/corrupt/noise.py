"""Noise: four corruptions that change each value on its own.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as imagecorruptions-imaug 1.1.5 computes them: "the reference" here.
All take RGB uint8 `h w 3`, a severity from 1 to 5 and a generator, and return RGB uint8 `h w 3`. Kept of the reference:
values are truncated to grey levels, not rounded, which darkens by half a level in the mean.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Float64, UInt8, UInt32
from scipy.special import gammainc, gammaln, xlogy

# Standard deviation of what is added, where white is 1.
GAUSSIAN_SCALES = (0.08, 0.12, 0.18, 0.26, 0.38)
# Photons of a white value; fewer make more noise.
SHOT_PHOTONS = (60, 25, 12, 5, 3)
# Share of the values that become black or white.
IMPULSE_SHARES = (0.03, 0.06, 0.09, 0.17, 0.27)
# Standard deviation of the factor's distance from 1.
SPECKLE_SCALES = (0.15, 0.2, 0.35, 0.45, 0.6)
# So many values are computed at a time: 128 KiB of float64.
PART_VALUES = 2**14


def gaussian_noise(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Add normal noise (`GAUSSIAN_SCALES`), a draw for each channel, and clip.

    Equal to the reference where `rng` draws the same normal numbers.
    """

    def noisy(part: UInt8[np.ndarray, "r w 3"]) -> UInt8[np.ndarray, "r w 3"]:
        values = rng.standard_normal(part.shape)
        values *= GAUSSIAN_SCALES[severity - 1]
        values += part / 255.0
        return _levels(values)

    return _by_parts(image, noisy)


def shot_noise(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Count photons: a Poisson draw in the mean of value times `SHOT_PHOTONS`, clipped at white.

    Differs from the reference in how it draws, not in what: one 32-bit number a value chooses by the alias method
    (Walker 1977) from the probabilities of its grey level, which are Poisson's but for 2^-26. A generator's own Poisson
    numbers take ten times as long.
    """
    shares, choices = _photon_tables(SHOT_PHOTONS[severity - 1])
    columns = shares.shape[1]
    bits = columns.bit_length() - 1

    def counted(part: UInt8[np.ndarray, "r w 3"]) -> UInt8[np.ndarray, "r w 3"]:
        draws = rng.integers(0, 2**32, part.shape, dtype=np.uint32)
        # The high bits choose a column of the level's row; the low bits choose between its own count and its alias.
        cells = np.multiply(part, columns, dtype=np.intp) + (draws >> np.uint32(32 - bits))
        is_alias = draws << np.uint32(bits) >= shares.ravel().take(cells)
        return choices.ravel().take(2 * cells + is_alias)

    return _by_parts(image, counted)


def impulse_noise(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Salt and pepper: a share of the values (`IMPULSE_SHARES`) becomes white or black, each with the same chance.

    Each channel has its own, so that the specks are coloured. Equal to the reference where `rng` draws the same uniform
    numbers: first those that choose the values, then those that choose between white and black.
    """
    hit = rng.random(image.shape) <= IMPULSE_SHARES[severity - 1]
    white = rng.random(image.shape) <= 0.5
    return np.where(hit, np.multiply(white, 255, dtype=np.uint8), image)


def speckle_noise(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Add normal noise in proportion to the value (`SPECKLE_SCALES`), a draw for each channel, and clip.

    Equal to the reference where `rng` draws the same normal numbers.
    """

    def noisy(part: UInt8[np.ndarray, "r w 3"]) -> UInt8[np.ndarray, "r w 3"]:
        clean = part / 255.0
        values = rng.standard_normal(part.shape)
        values *= SPECKLE_SCALES[severity - 1]
        values *= clean
        values += clean
        return _levels(values)

    return _by_parts(image, noisy)


def _by_parts(
    image: UInt8[np.ndarray, "h w 3"], change: Callable[[UInt8[np.ndarray, "r w 3"]], UInt8[np.ndarray, "r w 3"]]
) -> UInt8[np.ndarray, "h w 3"]:
    """Some rows at a time, top to bottom, so that numbers are drawn in the image's order.

    What is computed between then fits the cache and comes from memory that was used before; fresh pages from the system
    for whole images take longer than all the rest.
    """
    rows = max(1, PART_VALUES // (image.shape[1] * 3))
    return np.concatenate([change(image[first : first + rows]) for first in range(0, len(image), rows)])


def _levels(values: Float64[np.ndarray, "r w 3"]) -> UInt8[np.ndarray, "r w 3"]:
    """Values in [0, 1], and beyond, as grey levels; overwrites them."""
    np.clip(values, 0, 1, out=values)
    values *= 255
    return values.astype(np.uint8)


@cache
def _photon_tables(photons: int) -> tuple[UInt32[np.ndarray, "256 n"], UInt8[np.ndarray, "256 n 2"]]:
    """Alias tables of each grey level: the share of a column that is its own, of 2^32; the grey levels it chooses from.

    There are 2^k columns, so that bits choose one; those of impossible counts have no share of their own.
    """
    probabilities = _photon_probabilities(photons)
    columns = 1 << photons.bit_length()
    heights = np.zeros((256, columns))
    heights[:, : photons + 1] = probabilities * columns
    shares, aliases = np.ones_like(heights), np.tile(np.arange(columns), (256, 1))
    rows = np.arange(256)
    # The mean height is 1: the lowest column is filled up by the highest and is done, until one is left.
    for _ in range(columns - 1):
        lowest, highest = np.nanargmin(heights, 1), np.nanargmax(heights, 1)
        shares[rows, lowest], aliases[rows, lowest] = heights[rows, lowest], highest
        heights[rows, highest] -= 1 - heights[rows, lowest]
        heights[rows, lowest] = np.nan
    levels = (np.minimum(np.arange(columns) / float(photons), 1) * 255).astype(np.uint8)
    choices = np.stack([np.broadcast_to(levels, aliases.shape), levels[aliases]], 2)
    return np.clip(shares * 2.0**32, 0, 2**32 - 1).astype(np.uint32), choices


def _photon_probabilities(photons: int) -> Float64[np.ndarray, "256 n"]:
    """Of each grey level, how likely each count is, from 0 to `photons` or more: more is white all the same."""
    mean = np.arange(256)[:, None] / 255.0 * photons
    count = np.arange(photons)
    below_white = np.exp(xlogy(count, mean) - mean - gammaln(count + 1))
    return np.hstack([below_white, gammainc(photons, mean)])
