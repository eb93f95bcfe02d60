"""Mean intersection over union of segmentations, over the classes that there are, without void pixels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from bgdata.errors import InputError
from bgdata.transfer_sets.base import VOID, LabelledImage

METRICS = ("miou",)


@dataclass(frozen=True)
class MeanIou:
    """The scores of a set's predictions (see `Scored`), from three areas in pixels of each image and class.

    `areas`: of what was predicted rightly, of the truth, and of the prediction: the diagonal, the row sums and the
    column sums of an image's confusion matrix. A class that is neither in the truth nor in any prediction is absent: it
    has no IoU, and is no part of the mean.
    """

    areas: Int64[np.ndarray, "n 3 k"]
    categories: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """`miou`; NaN where no pixel counts."""
        return {"miou": float(mean_of_present(class_ious(self._total)))}

    def resampled(self, counts: Int64[np.ndarray, "r n"]) -> dict[str, Float64[np.ndarray, " r"]]:
        """See `Scored`."""
        # Floats for the sake of BLAS: sums below 2**53 are exact.
        drawn = counts.astype(np.float64) @ self.areas.reshape(len(self.areas), -1)
        return {"miou": mean_of_present(class_ious(drawn.reshape(-1, *self.areas.shape[1:])))}

    @property
    def details(self) -> dict[str, Any]:
        """What stands beside the mean in a result, ready for JSON: fractions, None of what is absent.

        `constant`: the best answer that looks at nothing, the truth's most frequent class in each pixel; `pixels`: all
        that count.
        """
        ious, (right, truth, _) = class_ious(self._total), self._total
        pixels = int(truth.sum())
        return {
            "per_class": {name: _or_none(value) for name, value in zip(self.categories, ious, strict=True)},
            "absent": int(np.isnan(ious).sum()),
            "pixel_accuracy": int(right.sum()) / pixels if pixels else None,
            "pixels": pixels,
            "constant": self._constant(),
        }

    def _constant(self) -> dict[str, Any] | None:
        truth = self._total[1]
        if not truth.any():
            return None
        answer = int(truth.argmax())
        said = np.zeros_like(truth)
        said[answer] = truth.sum()
        areas = np.stack((np.minimum(truth, said), truth, said))
        return {"miou": float(mean_of_present(class_ious(areas))), "answer": self.categories[answer]}

    @cached_property
    def _total(self) -> Int64[np.ndarray, "3 k"]:
        return self.areas.sum(axis=0)


def measure_iou(predictions: Iterable[Any], truth: Iterable[LabelledImage], categories: Sequence[str]) -> MeanIou:
    """Compare classes a pixel with the truth's, image by image.

    Raises InputError where an image has no classes, or one beyond the categories.
    """
    classes = len(categories)
    found = [
        class_areas(confusion_matrix(labels_of(image, classes), predicted, classes=classes))
        for predicted, image in zip(predictions, truth, strict=True)
    ]
    return MeanIou(np.array(found, np.int64).reshape(-1, 3, classes), tuple(categories))


def labels_of(image: LabelledImage, classes: int) -> UInt8[np.ndarray, "h w"]:
    """An image's class a pixel.

    Raises InputError where there is none, or it is beyond the categories.
    """
    if image.labels is None:
        raise InputError(f"image {image.id} has no class for each pixel: take a set for segmentation")
    beyond = image.labels[(image.labels >= classes) & (image.labels != VOID)]
    if beyond.size:
        raise InputError(
            f"image {image.id} has pixels of label {beyond.max()}, its set has {classes} categories (0 to "
            f"{classes - 1}, and {VOID} for void): mend its mask, or take the list of categories that belongs to it"
        )
    return image.labels


def confusion_matrix(
    truth: UInt8[np.ndarray, "h w"], predicted: UInt8[np.ndarray, "h w"], *, classes: int
) -> Int64[np.ndarray, "{classes} {classes}"]:
    """Pixels by class (rows) and predicted class (columns), without those that are void."""
    counted = truth != VOID
    pairs = truth[counted].astype(np.int64) * classes + predicted[counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_areas(confusion: Int64[np.ndarray, "k k"]) -> Int64[np.ndarray, "3 k"]:
    """The areas of each class: predicted rightly, true, predicted."""
    return np.stack((confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)))


def class_ious(areas: Int64[np.ndarray, "*b 3 k"] | Float64[np.ndarray, "*b 3 k"]) -> Float64[np.ndarray, "*b k"]:
    """The IoU of each class; NaN of those that are absent."""
    right, truth, predicted = np.moveaxis(areas.astype(np.float64), -2, 0)
    union = truth + predicted - right
    return np.divide(right, union, out=np.full_like(right, np.nan), where=union > 0)


def mean_of_present(ious: Float64[np.ndarray, "*b k"]) -> Float64[np.ndarray, "*b"]:
    """The mean over the classes that are there; NaN where none is."""
    present = ~np.isnan(ious)
    count = present.sum(axis=-1)
    total = np.where(present, ious, 0).sum(axis=-1)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
