"""Biased digits: what stands where, what a mask leaves to look at, and that a bias says what it should."""

import numpy as np
import pytest

from bgdata.digits.bias import BIASES, COLOURS, PIXELS, TESTS, BiasedDigits, bias_digits
from bgdata.digits.plain import CLASSES, MARGIN, SIDE, Digits, open_embedded, place_digits


@pytest.fixture(scope="module")
def digits() -> Digits:
    return open_embedded(seed=0)[1]


def made(digits: Digits, bias: str, says: str, *, noise: float = 0.05, seed: int = 0) -> BiasedDigits:
    return bias_digits(digits, bias, says=says, noise=noise, gap=3, seed=seed)


def said(digits: Digits, biased: BiasedDigits, bias: str) -> np.ndarray:
    """The class that each image's bias says, read off the image."""
    if bias == "one_pixel":
        lit = np.stack([biased.images[:, row, column, 0] == 255 for row, column in PIXELS], 1)
        assert (lit.sum(1) == 1).all()
        return lit.argmax(1)
    mean = np.stack([image[~mask].mean(0) for image, mask in zip(biased.images, biased.masks, strict=True)])
    assert len(mean) == len(digits.ids)
    return np.abs(mean[:, None] - COLOURS).sum(2).argmin(1)


def test_digits_lie_in_the_middle_and_keep_their_greys() -> None:
    grey = np.zeros((2, 8, 8), np.uint8)
    grey[0], grey[1, :4] = 255, 100
    placed = place_digits(grey, np.array([3, 5]), prefix="digit")
    inner = placed.images[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert placed.ids == ("digit_00000", "digit_00001")
    assert int(placed.images.sum()) == int(inner.sum())
    assert (inner[0] == 255).all()
    assert inner[1].max() == 100
    assert placed.masks[0].sum() == (SIDE - 2 * MARGIN) ** 2


def test_the_split_is_seeded_and_parts_the_digits() -> None:
    train, test = open_embedded(seed=0)
    assert (len(train.ids), len(test.ids)) == (1348, 449)
    assert not set(train.ids) & set(test.ids)
    assert np.bincount(test.labels, minlength=CLASSES).min() > 20
    again, other = open_embedded(seed=0)[1], open_embedded(seed=1)[1]
    assert again.ids == test.ids
    assert other.ids != test.ids


@pytest.mark.parametrize("bias", BIASES)
def test_a_bias_says_its_class_a_random_one_or_nothing(digits: Digits, bias: str) -> None:
    biased, shifted, clean = (made(digits, bias, says) for says in TESTS)
    assert (said(digits, biased, bias) == digits.labels).all()
    lot = said(digits, shifted, bias)
    assert 0.04 < (lot == digits.labels).mean() < 0.17
    assert np.bincount(lot, minlength=CLASSES).min() > 20
    assert (clean.images == digits.images[..., None] * clean.masks[..., None]).all()


@pytest.mark.parametrize("bias", BIASES)
def test_what_the_mask_leaves_says_nothing_of_the_bias(digits: Digits, bias: str) -> None:
    biased, shifted, clean = (made(digits, bias, says) for says in TESTS)
    for other in (shifted, clean):
        assert (biased.masks == other.masks).all()
        assert (biased.images[biased.masks] == other.images[biased.masks]).all()
    assert biased.masks.any((1, 2)).all()
    assert (~biased.masks).any((1, 2)).all()


def test_the_gap_is_black_and_lies_around_the_digit(digits: Digits) -> None:
    without, widened = made(digits, "coloured", "biased"), made(digits, "coloured_gap", "biased")
    assert (widened.masks & without.masks == without.masks).all()
    gap = widened.masks & ~without.masks
    assert gap.any((1, 2)).all()
    assert widened.images[gap].max() < 64  # what is below a quarter white is no ink


def test_choices_depend_on_seed_and_digit_alone(digits: Digits) -> None:
    whole = made(digits, "coloured", "shifted")
    some = made(digits.take([7, 3]), "coloured", "shifted")
    assert (whole.images[[7, 3]] == some.images).all()
    assert (made(digits, "coloured", "shifted", seed=1).images != whole.images).any()
    plain = made(digits.take([0]), "coloured", "biased", noise=0.0)
    assert (plain.images[~plain.masks] == COLOURS[digits.labels[0]]).all()
