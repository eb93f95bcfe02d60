"""Intervals, calibration and comparisons of predictions: arithmetic on labels, without networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

_NORMAL_95 = 1.959963984540054
_RESAMPLES = 10_000
_BINS = 15


def wilson_interval(successes: int, count: int) -> list[float]:
    """The 95 % interval of a rate; [0, 1] where nothing was counted. Source: Wilson 1927."""
    if count == 0:
        return [0.0, 1.0]
    rate, z2 = successes / count, _NORMAL_95**2
    centre = (rate + z2 / (2 * count)) / (1 + z2 / count)
    half = _NORMAL_95 / (1 + z2 / count) * (rate * (1 - rate) / count + z2 / (4 * count**2)) ** 0.5
    # At rates of 0 and 1 rounding would leave the rate outside.
    return [max(min(centre - half, rate), 0.0), min(max(centre + half, rate), 1.0)]


def paired_gap(first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"], *, seed: int = 0) -> dict[str, Any]:
    """The difference of two accuracies on the same photos, with its 95 % bootstrap interval over the photos.

    A photo's difference is -1, 0 or 1, so drawing photos anew is drawing from a multinomial: exact, and fast at any n.
    Source: Efron 1979, percentile interval.
    """
    count = len(first)
    difference = first.astype(np.int64) - second
    shares = np.bincount(difference + 1, minlength=3) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, _RESAMPLES)
    low, high = np.quantile((drawn[:, 2] - drawn[:, 0]) / count, [0.025, 0.975])
    return {"gap": float(difference.mean()), "interval": [float(low), float(high)], "pairs": count}


def mean_interval(values: Float[np.ndarray, " n"], *, seed: int = 0) -> list[float]:
    """The 95 % bootstrap interval of a mean over photos. Source: Efron 1979, percentile interval."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES // 10, len(values)))
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return [float(low), float(high)]


def ratio_interval(
    hits: Bool[np.ndarray, "k n"], ratio: Callable[[np.ndarray], np.ndarray], *, seed: int = 0
) -> dict[str, Any]:
    """What `ratio` makes of k rates over the same n photos, with its 95 % bootstrap interval over the photos.

    None where it is not finite; draws of photos in which it is not are left out. Source: Efron 1979.
    """
    value = float(ratio(hits.mean(1)[:, None])[0])
    if not np.isfinite(value):
        return {"value": None, "interval": None}
    count = hits.shape[1]
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _RESAMPLES // 10)
    drawn = ratio(hits.astype(np.float64) @ weights.T / count)
    low, high = np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975])
    return {"value": value, "interval": [float(low), float(high)]}


def expected_calibration_error(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"]) -> float:
    """The mean distance between confidence and accuracy over 15 equal bins of confidence, weighed by their counts.

    Source: Guo et al. 2017, eq. 3. Rounded, so that the order of float additions shows nowhere.
    """
    place = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    excess = np.bincount(place, weights=confidence - correct, minlength=_BINS)
    return round(float(np.abs(excess).sum() / len(confidence)), 6)


def count_pairs(
    rows: Int64[np.ndarray, " n"], columns: Int64[np.ndarray, " n"], *, height: int, width: int
) -> list[list[int]]:
    """How often each (row, column) occurs: a confusion matrix of labels by predictions, or of predictions by others."""
    flat = np.bincount(rows * width + columns, minlength=height * width)
    return flat.reshape(height, width).tolist()


def list_pairs(rows: Int64[np.ndarray, " n"], columns: Int64[np.ndarray, " n"], *, width: int) -> list[list[int]]:
    """What `count_pairs` counts as a list of those that occur, sorted: `[row, column, count]` each."""
    flat, counts = np.unique(rows * width + columns, return_counts=True)
    return np.stack([*np.divmod(flat, width), counts], 1).tolist()
