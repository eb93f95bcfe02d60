"""Clouds of the diamond-square kind, as the reference corruptions draw their fog."""

import numpy as np
from jaxtyping import Float32

# A point differs from the mean of its neighbours by up to this, squared, at the first step.
_ROUGHNESS = 100.0

Grid = Float32[np.ndarray, "n n"]


def draw_plasma(size: int, *, decay: float, rng: np.random.Generator) -> Float32[np.ndarray, "size size"]:
    """A square map in [0, 1] that continues over its edges; `size` is a power of two.

    Each step halves the grid: a point in the middle of each square, then one in the middle of each diamond, is the mean
    of its four neighbours plus noise that shrinks `decay`-fold a step.

    Source: Fournier, Fussell and Carpenter 1982, in the order of `plasma_fractal` of imagecorruptions: it draws the
    middles, then the points between left and right, then those between top and bottom. Its noise is uniform within
    100 * 100 / decay^step (the amplitude enters twice, but shrinks once); its sums are float32 and its noise is float64.
    """
    grid = np.zeros((1, 1), np.float32)
    amplitude = _ROUGHNESS
    while len(grid) < size:
        grid = _refined(grid, amplitude, rng)
        amplitude /= decay
    grid -= grid.min()
    return grid / grid.max()


def _refined(corners: Grid, amplitude: float, rng: np.random.Generator) -> Grid:
    """The grid with twice as many points a side: n by n corners become 2n by 2n."""

    def noisy_mean(total: Grid) -> np.ndarray:
        return total / 4 + amplitude * rng.uniform(-amplitude, amplitude, total.shape)

    finer = np.empty((2 * len(corners), 2 * len(corners)), np.float32)
    finer[::2, ::2] = corners
    below = corners + np.roll(corners, -1, 0)
    finer[1::2, 1::2] = noisy_mean(below + np.roll(below, -1, 1))
    middles = finer[1::2, 1::2]
    finer[::2, 1::2] = noisy_mean((middles + np.roll(middles, 1, 0)) + (corners + np.roll(corners, -1, 1)))
    finer[1::2, ::2] = noisy_mean((middles + np.roll(middles, 1, 1)) + below)
    return finer
