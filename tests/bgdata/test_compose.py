"""Laws of compositing, of the variants and of the choice of backgrounds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bgdata.compose.background import BackgroundChoice, has_strip, tile_background
from bgdata.compose.mix import cutmix, mixup
from bgdata.compose.paste import feathered, paste_foreground
from bgdata.compose.variants import Cutout, mixed, no_fg, only_bg_b, only_bg_t, only_fg
from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.labels import IN9

SIDE = 16
images = arrays.arrays(np.uint8, (SIDE, SIDE, 3))
masks = arrays.arrays(np.bool_, (SIDE, SIDE))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(st.integers(0, SIDE - 1)), draw(st.integers(0, SIDE - 1))
    return Box(x0, y0, draw(st.integers(x0 + 1, SIDE)), draw(st.integers(y0 + 1, SIDE)))


@given(images, masks)
def test_only_fg_plus_no_fg_is_the_original(image: np.ndarray, mask: np.ndarray) -> None:
    photo = Cutout(image, mask, Box(0, 0, SIDE, SIDE))
    assert np.array_equal(only_fg(photo) + no_fg(photo), image)


@given(images, images, masks)
def test_a_composite_shows_each_pixel_of_one_of_the_two(bg: np.ndarray, fg: np.ndarray, mask: np.ndarray) -> None:
    composite = paste_foreground(bg, fg, mask)
    assert np.array_equal(composite[mask], fg[mask])
    assert np.array_equal(composite[~mask], bg[~mask])


@given(images, images)
def test_an_all_true_mask_gives_back_the_foreground(background: np.ndarray, foreground: np.ndarray) -> None:
    everything = np.ones((SIDE, SIDE), bool)
    assert np.array_equal(paste_foreground(background, foreground, everything), foreground)
    assert np.array_equal(paste_foreground(background, foreground, everything.astype(np.float32)), foreground)
    assert np.array_equal(paste_foreground(background, foreground, ~everything), background)


@given(images, images, masks)
def test_the_formula_is_the_same_on_tensors(background: np.ndarray, foreground: np.ndarray, mask: np.ndarray) -> None:
    expected = paste_foreground(background, foreground, mask)
    bg, fg = (torch.from_numpy(array).permute(2, 0, 1) for array in (background, foreground))
    by_mask = paste_foreground(bg, fg, torch.from_numpy(mask)[None])
    assert np.array_equal(by_mask.permute(1, 2, 0).numpy(), expected)
    by_alpha = paste_foreground(bg.float(), fg.float(), torch.from_numpy(mask)[None].float())
    assert np.array_equal(by_alpha.permute(1, 2, 0).numpy(), expected.astype(np.float32))


def test_a_black_foreground_is_pasted_too() -> None:
    """The original data were composited by "not black": black foreground let the background through."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4:8, 4:8] = True
    white, black = np.full((SIDE, SIDE, 3), 255, np.uint8), np.zeros((SIDE, SIDE, 3), np.uint8)
    assert (paste_foreground(white, black, mask)[mask] == 0).all()


def test_a_feathered_edge_is_soft_only_near_the_mask() -> None:
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    alpha = feathered(mask, 1.5)
    assert alpha[32, 32] == pytest.approx(1)
    assert alpha[2, 2] == pytest.approx(0)
    assert 0.4 < alpha[32, 16] < 0.7
    photo = Cutout(np.full((64, 64, 3), 200, np.uint8), alpha, Box(16, 16, 48, 48))
    total = only_fg(photo).astype(int) + no_fg(photo)
    assert abs(total - 200).max() <= 1


@given(images, boxes())
def test_tiles_stay_inside_the_box_and_come_from_outside_it(image: np.ndarray, box: Box) -> None:
    if not has_strip(box, (SIDE, SIDE)):
        with pytest.raises(ValueError, match="no background strip"):
            tile_background(image, box)
        return
    tiled = tile_background(image, box)
    outside = np.ones((SIDE, SIDE), bool)
    outside[box.y0 : box.y1, box.x0 : box.x1] = False
    assert np.array_equal(tiled[outside], image[outside])
    shown = {tuple(pixel) for pixel in tiled[~outside]}
    assert shown <= {tuple(pixel) for pixel in image[outside]}


@given(images, boxes())
def test_tiles_are_the_largest_strip_repeated_from_the_corner(image: np.ndarray, box: Box) -> None:
    """Held against np.tile, the way the paper's figure is drawn."""
    if not has_strip(box, (SIDE, SIDE)):
        return
    strips = [image[:, : box.x0], image[:, box.x1 :], image[: box.y0], image[box.y1 :]]
    strip = max(strips, key=lambda candidate: candidate.size)
    repeats = (-(-SIDE // strip.shape[0]), -(-SIDE // strip.shape[1]), 1)
    expected = image.copy()
    inside = (slice(box.y0, box.y1), slice(box.x0, box.x1))
    expected[inside] = np.tile(strip, repeats)[:SIDE, :SIDE][inside]
    assert np.array_equal(tile_background(image, box), expected)


@given(images, masks)
def test_no_foreground_is_left_in_the_backgrounds(image: np.ndarray, mask: np.ndarray) -> None:
    box = mask_box(mask)
    if box is None or not has_strip(box, (SIDE, SIDE)):
        return
    marked = paste_foreground(np.minimum(image, 254), np.full_like(image, 255), mask)
    photo = Cutout(marked, mask, box)
    assert not (only_bg_b(photo) == 255).all(-1).any()
    assert not (only_bg_t(photo) == 255).all(-1).any()


def test_mixed_keeps_the_foreground_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    image, background = rng.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    mask = rng.random((SIDE, SIDE)) < 0.5
    composite = mixed(Cutout(image, mask, Box(0, 0, SIDE, SIDE)), background)
    assert np.array_equal(composite, np.where(mask[..., None], image, background))


@given(st.integers(0, 2**32), st.integers(2, 5))
def test_no_image_gets_its_own_background(seed: int, count: int) -> None:
    ids = {label: [f"{label}_{number}" for number in range(count)] for label in range(9)}
    choice = BackgroundChoice(ids, IN9)
    rng = np.random.default_rng(seed)
    own, label = "3_1", 3
    assert choice.same_class(own, label, rng)[0] in set(ids[3]) - {own}
    assert choice.next_class(own, label, rng)[1] == 4
    assert choice.any_class(own, label, rng)[0] != own
    assert choice.other_class(own, label, rng)[1] != label
    assert choice.next_class("8_0", 8, rng)[1] == 0


def test_every_other_photo_is_drawn_equally_often() -> None:
    choice = BackgroundChoice({0: ["a", "b", "c", "d"]}, IN9)
    drawn = [choice.same_class("b", 0, np.random.default_rng(seed))[0] for seed in range(3000)]
    for other in "acd":
        assert 0.28 < drawn.count(other) / 3000 < 0.39
    drawn = [choice.same_class("d", 0, np.random.default_rng(seed))[0] for seed in range(300)]
    assert set(drawn) == {"a", "b", "c"}


def test_a_class_with_one_photo_is_named() -> None:
    choice = BackgroundChoice({0: ["a"], 1: ["b", "c"]}, IN9)
    with pytest.raises(InputError, match="class 00_dog has 1 usable photos"):
        choice.same_class("a", 0, np.random.default_rng(0))
    with pytest.raises(InputError, match="class 02_wheeled vehicle has 0 usable photos"):
        choice.next_class("b", 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="needs a second class"):
        BackgroundChoice({0: ["a", "b"]}, IN9).other_class("a", 0, np.random.default_rng(0))


@given(st.integers(0, 2**32), st.floats(0.1, 4))
def test_cutmix_lam_is_the_kept_area(seed: int, alpha: float) -> None:
    white, black = np.full((40, 30, 3), 255, np.uint8), np.zeros((40, 30, 3), np.uint8)
    composite, lam, _ = cutmix(white, black, alpha, np.random.default_rng(seed))
    assert (composite == 255).mean() == pytest.approx(lam)


@given(st.integers(0, 2**32), st.floats(0.1, 4))
def test_mixup_is_linear_in_lam(seed: int, alpha: float) -> None:
    white, black = np.full((4, 4, 3), 255, np.uint8), np.zeros((4, 4, 3), np.uint8)
    composite, lam, _ = mixup(white, black, alpha, np.random.default_rng(seed))
    assert composite == pytest.approx(255 * lam, abs=0.51)
