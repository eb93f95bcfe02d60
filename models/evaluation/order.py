"""Which backgrounds to try next: those that fooled most, on foregrounds of the same class above all."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from bgdata.labels import CLASS_COUNT

# How many tries a class's own record must outweigh the record of all classes, and that the mean background's.
_PRIOR = 4.0


class BackgroundOrder:
    """The record of each background against each class, and the order that follows from it."""

    def __init__(self, labels: Int64[np.ndarray, " n"], backgrounds: int) -> None:
        self._labels = labels
        self._tried = np.zeros((CLASS_COUNT, backgrounds))
        self._fooled = np.zeros((CLASS_COUNT, backgrounds))
        # What decides between equals: else all foregrounds would begin with the same background.
        self._turn = (np.arange(backgrounds) * 2_654_435_761) % backgrounds

    def learn(
        self, foregrounds: Int64[np.ndarray, " p"], backgrounds: Int64[np.ndarray, " p"], fooled: Bool[np.ndarray, " p"]
    ) -> None:
        """Take in how pairs came out."""
        np.add.at(self._tried, (self._labels[foregrounds], backgrounds), 1)
        np.add.at(self._fooled, (self._labels[foregrounds], backgrounds), fooled)

    def rates(self) -> Float64[np.ndarray, "k m"]:
        """How likely each background is to fool each class: its record, leaning on all classes' where it is short."""
        mean = (self._fooled.sum() + 1) / (self._tried.sum() + 2)
        of_all = (self._fooled.sum(0) + _PRIOR * mean) / (self._tried.sum(0) + _PRIOR)
        return (self._fooled + _PRIOR * of_all) / (self._tried + _PRIOR)

    def next_pairs(
        self, foregrounds: Int64[np.ndarray, " r"], eligible: Bool[np.ndarray, "r m"], *, each: int
    ) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
        """Up to `each` pairs a foreground: its likeliest eligible backgrounds."""
        count = eligible.shape[1]
        scores = self.rates()[self._labels[foregrounds]]
        scores += (self._turn + 7919 * foregrounds[:, None]) % count * (1e-9 / count)
        return best_pairs(foregrounds, np.where(eligible, scores, -np.inf), each=each)


def best_pairs(
    foregrounds: Int64[np.ndarray, " r"], scores: np.ndarray, *, each: int
) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
    """Up to `each` backgrounds of the highest score for each foreground, as pairs; a score of -inf is left out."""
    each = min(each, scores.shape[1])
    best = np.argpartition(-scores, each - 1, axis=1)[:, :each]
    allowed = np.take_along_axis(scores, best, 1) > -np.inf
    return np.repeat(foregrounds, allowed.sum(1)), best[allowed]
