"""Accuracy of classifications: its intervals, and what stands beside it in a result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from bgdata.errors import InputError
from bgdata.transfer_sets.base import LabelledImage
from models.evaluation.statistics import count_pairs, expected_calibration_error, wilson_interval

METRICS = ("accuracy",)


@dataclass(frozen=True)
class ClassAccuracy:
    """The scores of a set's predictions (see `Scored`): true and predicted label of each image, and its confidence."""

    labels: Int64[np.ndarray, " n"]
    predicted: Int64[np.ndarray, " n"]
    confidence: Float64[np.ndarray, " n"]
    categories: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """`accuracy`; NaN where there is no image."""
        return {"accuracy": float(self._correct.mean()) if self._correct.size else float("nan")}

    def resampled(self, counts: Int64[np.ndarray, "r n"]) -> dict[str, Float64[np.ndarray, " r"]]:
        """See `Scored`."""
        return {"accuracy": (counts @ self._correct) / counts.sum(axis=1)}

    @property
    def details(self) -> dict[str, Any]:
        """What stands beside the accuracy in a result, ready for JSON.

        `interval` is Wilson's, `confusion` counts true classes (rows) by predicted ones, and `constant` is the best
        answer that looks at nothing: the most frequent class.
        """
        count, classes = len(self.labels), len(self.categories)
        correct = int(self._correct.sum())
        confusion = count_pairs(self.labels, self.predicted, height=classes, width=classes)
        by_class = np.array(confusion).sum(axis=1)
        return {
            "correct": correct,
            "count": count,
            "interval": wilson_interval(correct, count),
            "ece": expected_calibration_error(self.confidence, self._correct) if count else None,
            "per_class": {
                name: row[label] / int(total) if total else None
                for label, (name, row, total) in enumerate(zip(self.categories, confusion, by_class, strict=True))
            },
            "confusion": confusion,
            "constant": {"accuracy": int(by_class.max()) / count, "answer": self.categories[int(by_class.argmax())]}
            if count
            else None,
        }

    @property
    def _correct(self) -> Bool[np.ndarray, " n"]:
        return self.labels == self.predicted


def measure_accuracy(
    predictions: Iterable[Mapping[str, Any]], truth: Iterable[LabelledImage], categories: Sequence[str]
) -> ClassAccuracy:
    """Compare predictions with the truth, image by image.

    Raises InputError where an image has no class, or one beyond the categories.
    """
    rows = [
        (label_of(image, len(categories)), said["label"], said["confidence"])
        for said, image in zip(predictions, truth, strict=True)
    ]
    labels, predicted, confidence = np.array(rows, np.float64).reshape(-1, 3).T
    return ClassAccuracy(labels.astype(np.int64), predicted.astype(np.int64), confidence, tuple(categories))


def label_of(image: LabelledImage, classes: int) -> int:
    """An image's class.

    Raises InputError where there is none, or it is beyond the categories.
    """
    if image.label is None:
        raise InputError(f"image {image.id} has no class: take a set for classification")
    if not 0 <= image.label < classes:
        raise InputError(
            f"image {image.id} is of class {image.label}, its set has {classes} categories (0 to {classes - 1}): take "
            "the list of categories that belongs to it"
        )
    return image.label
