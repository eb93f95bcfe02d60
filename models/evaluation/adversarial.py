"""Which backgrounds fool which foregrounds, to be looked at: the most fooling of each class, the extreme foregrounds.

Source: Xiao et al. 2021, figure 5. There a background's rate counts predictions of its own class alone; here it counts
every misclassification, as the challenge does, and says beside it how many of the predictions were its own class.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64

from bgdata.randomness import seeded_order
from models.classifiers.judged import Judged
from models.evaluation.challenge import Verdicts, challenge_score, judge_foregrounds, known_label
from models.evaluation.pairs import ChallengeData, Margins

BACKGROUNDS = 3  # of each class
FOREGROUNDS = 6  # at each end
CLASSES = 20  # whose backgrounds are named, of a list that has more; a report shows fewer


def choose_rated(data: ChallengeData, per_class: int | None, *, seed: int) -> Bool[np.ndarray, " n"]:
    """The foregrounds that are put on every background: a seeded choice of each class, or all of them (None)."""
    chosen = np.full(len(data.labels), per_class is None)
    if per_class is not None:
        for label in range(len(data.class_list)):
            (members,) = np.nonzero(data.labels == label)
            order = seeded_order(seed, [data.ids[member] for member in members], "challenge.rated")
            chosen[members[order[:per_class]]] = True
    return chosen


def gallery_score(
    model: Judged,
    data: ChallengeData,
    *,
    rated: Bool[np.ndarray, " n"],
    device: torch.device,
    eval_batch: int,
    folder: Path,
    seed: int,
) -> dict[str, Any]:
    """The challenge's score with fooling rates of the `rated` foregrounds, and the gallery of what fools them.

    `folder` keeps what is done: a killed run goes on where it was.
    """
    verdicts = judge_foregrounds(model, data, device=device, eval_batch=eval_batch, full=rated, folder=folder)
    gallery = AdversarialGallery(model, data, verdicts, rated=rated, device=device, seed=seed)
    return challenge_score(verdicts, data, full=rated) | {"gallery": gallery.record()}


class AdversarialGallery:
    """What the report shows of a challenge whose `rated` foregrounds were put on every background."""

    def __init__(
        self,
        model: Judged,
        data: ChallengeData,
        verdicts: Verdicts,
        *,
        rated: Bool[np.ndarray, " n"],
        device: torch.device,
        seed: int,
    ) -> None:
        self._margins = Margins(model, data, device=device, eval_batch=1, precision=torch.float32)
        self._data = data
        self._rows = np.nonzero(rated)[0]
        self._fooled = verdicts.table.fooled(self._rows)
        self._worst = np.where(self._fooled, verdicts.table.margins[self._rows], np.inf).argmin(1)
        self._seed = seed

    def record(self) -> dict[str, Any]:
        """`backgrounds`: the most fooling of each class; `robust` and `fragile`: the foregrounds that the fewest and
        the most backgrounds fool. Empty lists where no foreground was rated.

        Of more than `CLASSES` classes, those whose backgrounds fool most; `classes_left_out` counts the others.
        """
        if not len(self._rows):
            return {"backgrounds": [], "robust": [], "fragile": []}
        order = np.argsort(self._fooled.mean(1), kind="stable")
        most_fooling = {label: self._most_fooling(label) for label in np.unique(self._data.background_labels).tolist()}
        worst = sorted(most_fooling, key=lambda label: (-self._mean_rate(label, most_fooling[label]), label))
        left_out = worst[CLASSES:]
        return {
            "backgrounds": [
                self._background(place, rank)
                for label, places in most_fooling.items()
                if label not in left_out
                for rank, place in enumerate(places)
            ],
            "robust": [self._foreground(row) for row in order[:FOREGROUNDS]],
            "fragile": [self._foreground(row) for row in order[::-1][:FOREGROUNDS]],
            **({"classes_left_out": len(left_out)} if left_out else {}),
        }

    def _mean_rate(self, label: int, places: Int64[np.ndarray, " b"]) -> float:
        """How often these backgrounds of a class fool foregrounds of others; 0 where there are none."""
        others = self._data.labels[self._rows] != label
        return float(self._fooled[np.ix_(others, places)].mean()) if others.any() else 0.0

    def _most_fooling(self, label: int) -> Int64[np.ndarray, " b"]:
        (places,) = np.nonzero(self._data.background_labels == label)
        others = self._data.labels[self._rows] != label
        counts = self._fooled[np.ix_(others, places)].sum(0)
        return places[np.argsort(-counts, kind="stable")[:BACKGROUNDS]]

    def _background(self, place: int | np.integer, rank: int) -> dict[str, Any]:
        """A background, its rate over foregrounds of other classes, and one that it fools (not all ranks the same)."""
        label = int(self._data.background_labels[place])
        others = np.nonzero(self._data.labels[self._rows] != label)[0]
        hit = self._rows[others[self._fooled[others, place]]]
        predicted = self._margins.predict(hit, np.full(len(hit), place)) if len(hit) else np.zeros(0, np.int64)
        # One that takes the background's class says more than one that takes any other.
        telling = hit[predicted == label] if (predicted == label).any() else hit
        order = seeded_order(self._seed, [self._data.ids[row] for row in telling], "challenge.gallery")
        shown = [telling[order[rank % len(order)]]] if order else []
        return {
            "id": self._data.background_ids[place],
            "label": known_label(label),
            "fooled": len(hit),
            "count": len(others),
            "fooling_rate": len(hit) / len(others) if len(others) else 0.0,
            "as_own_class": int((predicted == label).sum()),
            "example": self._composite(shown[0], place) if shown else None,
        }

    def _foreground(self, row: int | np.integer) -> dict[str, Any]:
        """A foreground, its rate over all backgrounds, and the background that fools it most."""
        foreground, fooled = self._rows[row], self._fooled[row]
        return {
            "id": self._data.ids[foreground],
            "label": int(self._data.labels[foreground]),
            "fooled": int(fooled.sum()),
            "count": len(fooled),
            "fooling_rate": float(fooled.mean()),
            "example": self._composite(foreground, self._worst[row]) if fooled.any() else None,
        }

    def _composite(self, foreground: int | np.integer, background: int | np.integer) -> dict[str, Any]:
        pair = np.array([foreground]), np.array([background])
        return {
            "foreground": self._data.ids[foreground],
            "background": self._data.background_ids[background],
            "label": int(self._data.labels[foreground]),
            "predicted": int(self._margins.predict(*pair)[0]),
        }
