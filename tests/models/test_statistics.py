import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.statistics import count_pairs, expected_calibration_error, paired_gap, wilson_interval


def test_wilson_is_the_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263.
    assert wilson_interval(81, 263) == pytest.approx([0.2553, 0.3662], abs=1e-4)
    assert wilson_interval(0, 0) == [0, 1]


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilson_holds_the_rate_and_mirrors(case: tuple[int, int]) -> None:
    hits, count = case
    low, high = wilson_interval(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    assert wilson_interval(count - hits, count) == pytest.approx([1 - high, 1 - low])


def test_the_paired_gap_is_a_plain_bootstrap_of_photos() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random(300) < 0.8, rng.random(300) < 0.7
    found = paired_gap(first, second)
    difference = first.astype(float) - second
    plain = [difference[rng.integers(0, 300, 300)].mean() for _ in range(4000)]
    assert found["gap"] == pytest.approx(difference.mean())
    assert found["interval"] == pytest.approx(np.quantile(plain, [0.025, 0.975]).tolist(), abs=0.008)
    assert found["pairs"] == 300
    assert paired_gap(first, first)["interval"] == [0, 0]


def test_calibration_counted_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.5, 1.0], np.float32)
    correct = np.array([True, True, True, False, False, True])
    # Of the last bin: 5 images, 4.8 expected, 4 right; of the bin of 0.5: one, wrong.
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.8 + 0.5) / 6, abs=1e-6)


def test_pairs_are_counted_in_rows_and_columns() -> None:
    assert count_pairs(np.array([0, 0, 1]), np.array([2, 2, 0]), height=2, width=3) == [[0, 0, 2], [1, 0, 0]]
