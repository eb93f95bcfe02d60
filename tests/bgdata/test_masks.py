"""Cleaning, rejecting and comparing masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.morphology import remove_small_holes, remove_small_objects

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import dice, iou
from bgdata.masks.quality import reject_reason
from bgdata.masks.settings import CleanSettings, QualitySettings

MASKS = arrays(np.bool_, (7, 9), elements=st.booleans())
SHARES = st.floats(0, 1)
QUALITY = QualitySettings(min_box_share=0.1, max_photo_share=0.95)


def cleaner(*, min_piece: float = 0.0, max_hole: float = 0.0, largest_only: bool = False) -> CleanSettings:
    return CleanSettings(min_piece=min_piece, max_hole=max_hole, largest_only=largest_only)


@given(MASKS)
def test_cleaning_with_zeros_changes_nothing(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(clean_mask(mask, cleaner()), mask)


@given(MASKS, SHARES, SHARES, st.booleans())
def test_cleaning_never_empties_a_mask_nor_fills_an_empty_one(
    mask: np.ndarray, min_piece: float, max_hole: float, largest_only: bool
) -> None:
    cleaned = clean_mask(mask, cleaner(min_piece=min_piece, max_hole=max_hole, largest_only=largest_only))
    assert cleaned.any() == mask.any()


@given(MASKS, SHARES)
def test_dropping_pieces_only_takes_away_and_filling_holes_only_adds(mask: np.ndarray, share: float) -> None:
    assert not (clean_mask(mask, cleaner(min_piece=share)) & ~mask).any()
    assert not (mask & ~clean_mask(mask, cleaner(max_hole=share))).any()


@given(MASKS)
def test_pieces_and_holes_are_those_of_scikit_image(mask: np.ndarray) -> None:
    total = int(mask.sum())
    # "smaller than a share" here is "at most so many pixels" there.
    limit = int(np.ceil(0.2 * total)) - 1
    pieces = remove_small_objects(mask, max_size=max(limit, 0), connectivity=2)
    if pieces.any():
        np.testing.assert_array_equal(clean_mask(mask, cleaner(min_piece=0.2)), pieces)
    framed = np.pad(mask, 1)
    if total:
        holes = remove_small_holes(framed, max_size=max(limit, 0), connectivity=1) if limit > 0 else framed
        np.testing.assert_array_equal(clean_mask(framed, cleaner(max_hole=0.2)), holes)


def test_only_the_largest_piece_stays() -> None:
    mask = np.zeros((10, 10), bool)
    mask[1:5, 1:5] = mask[7:9, 7:9] = True
    assert clean_mask(mask, cleaner(largest_only=True)).sum() == 16
    assert clean_mask(mask, cleaner(min_piece=0.2)).sum() == 20


@pytest.mark.parametrize(
    ("foreground", "reason"), [(0, "empty"), (3, "too_small"), (4, None), (95, None), (96, "too_large")]
)
def test_a_mask_is_rejected_by_its_size(foreground: int, reason: str | None) -> None:
    mask = (np.arange(100) < foreground).reshape(10, 10)
    assert reject_reason(mask, Box(0, 0, 5, 8), QUALITY) == reason


def test_without_a_box_a_small_mask_is_no_reason() -> None:
    assert reject_reason(np.eye(50, dtype=bool), None, QUALITY) is None


@given(MASKS, MASKS)
def test_iou_and_dice_are_those_of_sets_and_of_each_other(mask: np.ndarray, truth: np.ndarray) -> None:
    a, b = set(np.flatnonzero(mask)), set(np.flatnonzero(truth))
    expected = len(a & b) / len(a | b) if a | b else 1.0
    assert iou(mask, truth) == iou(truth, mask) == pytest.approx(expected)
    assert dice(mask, truth) == dice(truth, mask) == pytest.approx(2 * expected / (1 + expected))


def test_iou_and_dice_by_hand() -> None:
    row = np.arange(8)[None]
    assert iou(row < 4, (row >= 2) & (row < 6)) == pytest.approx(2 / 6)
    assert dice(row < 4, (row >= 2) & (row < 6)) == pytest.approx(4 / 8)
    assert iou(row < 4, row >= 4) == dice(row < 4, row >= 4) == 0
    assert iou(row < 0, row < 0) == dice(row < 0, row < 0) == 1


@pytest.mark.parametrize("metric", [iou, dice])
def test_a_mask_of_another_size_is_named_with_both_sizes(metric: object) -> None:
    with pytest.raises(
        InputError, match=r"mask n1_4 is 375x500, its image is 500x375 \(height x width\): make it anew"
    ):
        metric(np.zeros((375, 500), bool), np.zeros((500, 375), bool), name="n1_4")  # type: ignore[operator]
