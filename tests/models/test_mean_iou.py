"""Mean IoU: counted by hand, against scikit-learn, and by its laws; what is void or absent does not count."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pytest import approx
from sklearn.metrics import jaccard_score

from bgdata.errors import InputError
from bgdata.transfer_sets.base import VOID, LabelledImage
from models.transfer.mean_iou import MeanIou, confusion_matrix, measure_iou
from models.transfer.tasks import Scored, intervals

NAMES = ("background", "dog", "bird", "fish")
# Two rows of a truth and of an answer; the last pixel is void.
TRUTH = np.array([[0, 0, 0, 1], [1, 2, 2, VOID]], np.uint8)
ANSWER = np.array([[0, 0, 1, 1], [0, 2, 2, 3]], np.uint8)


def image(labels: np.ndarray | None, name: str = "one") -> LabelledImage:
    size = (2, 2) if labels is None else labels.shape
    return LabelledImage(name, np.zeros((*size, 3), np.uint8), labels=labels)


def measured(answers: list[np.ndarray], truth: list[np.ndarray], names: tuple[str, ...] = NAMES) -> MeanIou:
    return measure_iou(answers, [image(labels) for labels in truth], names)


masks = arrays(np.uint8, (6, 5), elements=st.sampled_from([0, 1, 2, 3, VOID]))
answers = arrays(np.uint8, (6, 5), elements=st.integers(0, 3))


def test_counted_by_hand() -> None:
    found = measured([ANSWER], [TRUTH])
    # background: 2 of {0, 0, 0} and {0, 0, 0}: 2 / 4; dog: 1 of 2 and 2: 1 / 3; bird: 2 / 2; fish only where it is void
    assert found.values == {"miou": approx((1 / 2 + 1 / 3 + 1) / 3)}
    details = found.details
    assert details["per_class"] == {"background": 0.5, "dog": approx(1 / 3), "bird": 1.0, "fish": None}
    assert (details["absent"], details["pixels"], details["pixel_accuracy"]) == (1, 7, approx(5 / 7))
    # background everywhere: 3 / 7 of the background, nothing of dog and bird
    assert details["constant"] == {"miou": approx(3 / 7 / 3), "answer": "background"}
    json.dumps(details, allow_nan=False)


def test_a_class_that_is_only_predicted_counts_as_wrong() -> None:
    found = measured([np.full((1, 4), 3, np.uint8)], [np.zeros((1, 4), np.uint8)])
    assert found.values == {"miou": 0.0}
    assert found.details["per_class"] == {"background": 0.0, "dog": None, "bird": None, "fish": 0.0}


@given(st.tuples(masks, masks), st.tuples(answers, answers))
def test_equal_to_scikit_learns(pair: tuple[np.ndarray, ...], said_of_it: tuple[np.ndarray, ...]) -> None:
    truth, said = [*pair], [*said_of_it]
    found = measured(said, truth)
    true, predicted = (np.concatenate([part.ravel() for part in parts]) for parts in (truth, said))
    counted = true != VOID
    true, predicted = true[counted], predicted[counted]
    labels = sorted({*true.tolist(), *predicted.tolist()})
    if not labels:
        assert math.isnan(found.values["miou"])
        assert found.details["constant"] is None
        assert found.details["pixel_accuracy"] is None
        return
    by_class = jaccard_score(true, predicted, labels=labels, average=None, zero_division=0.0)
    assert found.values["miou"] == approx(by_class.mean(), abs=1e-12)
    assert [found.details["per_class"][NAMES[label]] for label in labels] == approx(by_class.tolist(), abs=1e-12)
    assert found.details["absent"] == len(NAMES) - len(labels)
    best = np.bincount(true).argmax()
    present = sorted({*true.tolist()})
    constant = jaccard_score(true, np.full_like(true, best), labels=present, average="macro", zero_division=0.0)
    assert found.details["constant"]["miou"] == approx(constant, abs=1e-12)


@given(masks, answers, answers)
def test_laws(truth: np.ndarray, said: np.ndarray, other: np.ndarray) -> None:
    found = measured([said], [truth]).values["miou"]
    hidden = np.where(truth == VOID, other, said)  # what is said where it is void changes nothing
    assert measured([hidden], [truth]).values["miou"] == approx(found, nan_ok=True)
    exact = measured([np.where(truth == VOID, 0, truth).astype(np.uint8)], [truth])
    assert exact.values["miou"] == approx(1.0 if (truth != VOID).any() else math.nan, nan_ok=True)
    turned = np.array([3, 2, 1, 0], np.uint8)  # names are only names
    swapped = np.where(truth == VOID, VOID, turned[np.minimum(truth, 3)]).astype(np.uint8)
    assert measured([turned[said]], [swapped]).values["miou"] == approx(found, nan_ok=True)


def test_a_confusion_matrix_has_the_truth_in_rows() -> None:
    found = confusion_matrix(TRUTH, ANSWER, classes=4)
    assert found.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]


def test_draws_are_what_measuring_the_drawn_images_gives() -> None:
    rng = np.random.default_rng(1)
    truth = [rng.choice(np.array([0, 1, 2, 3, VOID], np.uint8), (8, 8)) for _ in range(5)]
    said = [np.where(rng.random((8, 8)) < 0.6, one, rng.integers(0, 4)).clip(0, 3).astype(np.uint8) for one in truth]
    found = measured(said, truth)
    counts = rng.multinomial(5, [0.2] * 5, 20)
    for drawn, count in zip(found.resampled(counts)["miou"], counts, strict=True):
        places = np.repeat(np.arange(5), count)
        again = measured([said[place] for place in places], [truth[place] for place in places])
        assert drawn == approx(again.values["miou"])
    low, high = intervals(found, 5, seed=0)["miou"]
    assert low < found.values["miou"] < high
    assert isinstance(found, Scored)


def test_images_all_alike_have_no_spread() -> None:
    found = measured([ANSWER] * 4, [TRUTH] * 4)
    assert intervals(found, 4, seed=3)["miou"] == approx([found.values["miou"]] * 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, r"image one has no class for each pixel: take a set for segmentation"),
        (
            np.array([[0, 4], [VOID, 1]], np.uint8),
            r"image one has pixels of label 4, its set has 4 categories \(0 to 3, and 255 for void\): mend its mask",
        ),
    ],
)
def test_truths_that_are_none(labels: np.ndarray | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure_iou([np.zeros((2, 2), np.uint8)], [image(labels)], NAMES)


def test_as_many_predictions_as_images() -> None:
    with pytest.raises(ValueError, match="longer"):
        measure_iou([ANSWER], [image(TRUTH), image(TRUTH)], NAMES)
