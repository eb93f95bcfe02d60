"""Clouds of the diamond-square kind, as the reference corruptions draw their fog."""

import numpy as np
from jaxtyping import Float32

# Of the first step: a point differs from the mean of its neighbours by up to its square.
_AMPLITUDE = 100.0

Grid = Float32[np.ndarray, "n n"]


def draw_plasma(size: int, *, decay: float, rng: np.random.Generator) -> Float32[np.ndarray, "size size"]:
    """A square map in [0, 1] that continues over its edges; `size` is a power of two.

    Each step halves the grid: a point in the middle of each square, then one in the middle of each diamond, is the mean
    of its four neighbours plus noise within an amplitude squared, which shrinks `decay`-fold a step.

    Source: Fournier, Fussell and Carpenter 1982, in the order of `plasma_fractal` of imagecorruptions: it draws the
    middles, then the points between left and right, then those between top and bottom. Its quirks are kept: the
    square, sums in float32 with noise in float64, and a first point of 0.
    """
    grid = np.zeros((1, 1), np.float32)
    amplitude = _AMPLITUDE
    while len(grid) < size:
        grid = _refined(grid, amplitude, rng)
        amplitude /= decay
    grid -= grid.min()
    return grid / grid.max()


def _refined(corners: Grid, amplitude: float, rng: np.random.Generator) -> Float32[np.ndarray, "2*n 2*n"]:
    """The grid with twice as many points a side: n by n corners become 2n by 2n."""
    noise = rng.uniform(-amplitude, amplitude, (3, *corners.shape))
    noise *= amplitude
    finer = np.empty((2 * len(corners), 2 * len(corners)), np.float32)
    finer[::2, ::2] = corners
    left_sides = corners + _next(corners, 0)
    middles = finer[1::2, 1::2]
    np.add((left_sides + _next(left_sides, 1)) / 4, noise[0], out=middles, casting="same_kind")
    above = (middles + _previous(middles, 0)) + (corners + _next(corners, 1))
    np.add(above / 4, noise[1], out=finer[::2, 1::2], casting="same_kind")
    left = (middles + _previous(middles, 1)) + left_sides
    np.add(left / 4, noise[2], out=finer[1::2, ::2], casting="same_kind")
    return finer


def _next(grid: Grid, axis: int) -> Grid:
    """The grid one step further, and around its edge: `np.roll` takes thrice as long."""
    return np.concatenate((grid[1:], grid[:1]) if axis == 0 else (grid[:, 1:], grid[:, :1]), axis)


def _previous(grid: Grid, axis: int) -> Grid:
    return np.concatenate((grid[-1:], grid[:-1]) if axis == 0 else (grid[:, -1:], grid[:, :-1]), axis)
