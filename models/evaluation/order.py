"""Which backgrounds to try next: those that fooled most, on foregrounds of the same class above all."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

# How many tries a class's own record must outweigh the record of all classes, and that the mean background's.
_PRIOR = 4.0


class BackgroundOrder:
    """The record of each background against each class, and the order that follows from it."""

    def __init__(self, labels: Int64[np.ndarray, " n"], backgrounds: int) -> None:
        # A row for each class that has a foreground, not for each of a list of hundreds.
        present, self._rows = np.unique(labels, return_inverse=True)
        self._tried = np.zeros((len(present), backgrounds))
        self._fooled = np.zeros((len(present), backgrounds))
        # Their sums over classes, kept: a round asks for a few classes' rates only.
        self._tried_by_all, self._fooled_by_all = np.zeros((2, backgrounds))
        # What decides between equals: else all foregrounds would begin with the same background.
        self._turn = (np.arange(backgrounds) * 2_654_435_761) % backgrounds

    def learn(
        self, foregrounds: Int64[np.ndarray, " p"], backgrounds: Int64[np.ndarray, " p"], fooled: Bool[np.ndarray, " p"]
    ) -> None:
        """Take in how pairs came out."""
        np.add.at(self._tried, (self._rows[foregrounds], backgrounds), 1)
        np.add.at(self._fooled, (self._rows[foregrounds], backgrounds), fooled)
        np.add.at(self._tried_by_all, backgrounds, 1)
        np.add.at(self._fooled_by_all, backgrounds, fooled)

    def rates(self, foregrounds: Int64[np.ndarray, " r"]) -> Float64[np.ndarray, "r m"]:
        """How likely each background is to fool each foreground: its class's record, leaning on all classes' where it
        is short.
        """
        rows, place = np.unique(self._rows[foregrounds], return_inverse=True)
        mean = (self._fooled_by_all.sum() + 1) / (self._tried_by_all.sum() + 2)
        of_all = (self._fooled_by_all + _PRIOR * mean) / (self._tried_by_all + _PRIOR)
        return ((self._fooled[rows] + _PRIOR * of_all) / (self._tried[rows] + _PRIOR))[place]

    def next_pairs(
        self, foregrounds: Int64[np.ndarray, " r"], eligible: Bool[np.ndarray, "r m"], *, each: int
    ) -> tuple[Int64[np.ndarray, " p"], Int64[np.ndarray, " p"]]:
        """Up to `each` pairs a foreground: its likeliest eligible backgrounds."""
        count = eligible.shape[1]
        scores = self.rates(foregrounds)
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
