"""Moving and scaling foregrounds: laws of place, size, and step of image and mask."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgdata.compose.paste import feathered, paste_foreground
from bgdata.compose.place import CELLS, KEPT, Place, cell, draw_place, move_foreground, photo_place
from bgdata.compose.settings import PlacementSettings
from bgdata.geometry import mask_box

SIDE = 48
NAMES = [name for names in CELLS for name in names]


def scene(box: tuple[int, int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image of noise, and an elliptic mask that touches the four sides of a box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = box
    image = np.random.default_rng(seed).integers(1, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    inside = ((columns - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((rows - (y0 + y1) / 2) / (y1 - y0)) ** 2 <= 0.25
    inside[(y0 + y1) // 2, x0:x1] = True
    inside[y0:y1, (x0 + x1) // 2] = True
    return image, inside


BOXES = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(3, 17), st.integers(3, 17)).map(
    lambda drawn: (drawn[0], drawn[1], drawn[0] + drawn[2], drawn[1] + drawn[3])
)


@given(BOXES, st.sampled_from(NAMES))
def test_there_and_back_is_where_it_was(box: tuple[int, int, int, int], name: str) -> None:
    image, mask = scene(box)
    moved, there = move_foreground(image, mask, Place(centre=cell(name)))
    middle = ((box[0] + box[2]) / 2 / SIDE, (box[1] + box[3]) / 2 / SIDE)
    back, again = move_foreground(moved, there, Place(centre=middle))
    assert (again == mask).all()
    assert (back[mask] == image[mask]).all()


@given(BOXES, st.floats(0, 0.999), st.floats(0, 0.999))
def test_nothing_of_a_foreground_that_fits_is_lost(box: tuple[int, int, int, int], x: float, y: float) -> None:
    image, mask = scene(box)
    moved, there = move_foreground(image, mask, Place(room=(x, y)))
    assert there.sum() == mask.sum()
    assert sorted(map(tuple, moved[there])) == sorted(map(tuple, image[mask]))


def test_the_same_place_and_size_are_the_same_arrays() -> None:
    image, mask = scene((5, 6, 20, 30))
    moved, there = move_foreground(image, mask, KEPT)
    assert moved is image
    assert there is mask
    empty = np.zeros_like(mask)
    assert move_foreground(image, empty, Place(0.5))[1] is empty


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_holds_the_middle_of_what_fits_into_it(name: str) -> None:
    image, mask = scene((10, 14, 22, 26))
    _, there = move_foreground(image, mask, Place(centre=cell(name)))
    box = mask_box(there)
    assert box is not None
    row, column = next((r, c) for r, names in enumerate(CELLS) for c, each in enumerate(names) if each == name)
    assert ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) == (16 * column + 8, 16 * row + 8)


def test_what_does_not_fit_into_a_corner_stays_inside_the_frame() -> None:
    image, mask = scene((0, 8, 40, 40))
    _, there = move_foreground(image, mask, Place(centre=cell("bottom_right")))
    assert tuple(mask_box(there) or ()) == (8, 16, 48, 48)


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0])
def test_the_area_goes_with_the_factor_and_the_mask_with_the_image(factor: float) -> None:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[18:30, 16:32] = True
    image = np.where(mask[..., None], np.uint8(200), np.uint8(10)) * np.ones(3, np.uint8)
    moved, there = move_foreground(image, mask, Place(factor))
    assert there.sum() == round(16 * factor) * round(12 * factor)
    box = mask_box(there)
    assert box is not None
    assert abs((box.x0 + box.x1) / 2 - 24) <= 0.5
    assert abs((box.y0 + box.y1) / 2 - 24) <= 0.5
    assert (moved[there] == 200).all()
    assert (moved[~there] == 0).all()


def test_what_is_larger_than_the_frame_is_cut_on_both_sides() -> None:
    image, mask = scene((4, 4, 44, 44))
    moved, there = move_foreground(image, mask, Place(2.0, centre=cell("top_left")))
    assert moved.shape == image.shape
    assert there[SIDE // 2].all()


def test_a_soft_edge_moves_with_its_foreground() -> None:
    image, mask = scene((10, 10, 22, 22))
    alpha = feathered(mask, 1.5)
    moved, there = move_foreground(image, alpha, Place(centre=cell("right")))
    grey = np.full_like(image, 128)
    shifted = paste_foreground(grey, moved, there)
    (y, x), (to_y, to_x) = ((np.argwhere(a > 0).min(0)) for a in (alpha, there))
    straight = paste_foreground(grey, image, alpha)
    height, width = np.argwhere(alpha > 0).max(0) - (y, x) + 1
    assert (shifted[to_y : to_y + height, to_x : to_x + width] == straight[y : y + height, x : x + width]).all()


def test_places_are_drawn_as_the_settings_say() -> None:
    drawn = [draw_place(PlacementSettings(position="random", size=[0.5, 2.0]), [u, u, 1 - u]) for u in (0.0, 0.5)]
    assert [place.factor for place in drawn] == [0.5, 1.25]
    assert drawn[1].room == (0.5, 0.5)
    assert draw_place(PlacementSettings(position="top", size=[1.0, 1.0]), [0.3, 0.0, 0.0]) == Place(
        centre=(0.5, 0.5 / 3)
    )
    assert draw_place(PlacementSettings(position="keep", size=[1.0, 1.0]), [0.3, 0.7, 0.1]) == KEPT


def test_a_photos_place_depends_on_the_seed_the_photo_and_the_variant() -> None:
    settings = PlacementSettings(position="random", size=[0.5, 1.0])
    said: dict[str, Any] = {"seed": 0, "photo": "a", "variant": "mixed_rand"}
    assert photo_place(settings, **said) == photo_place(settings, **said)
    for key, value in (("seed", 1), ("photo", "b"), ("variant", "mixed_same")):
        assert photo_place(settings, **(said | {key: value})) != photo_place(settings, **said)


def test_sizes_must_be_a_range_above_0() -> None:
    for size in ([0.0, 1.0], [2.0, 1.0], [-1.0, 1.0]):
        with pytest.raises(ValueError, match="size must be two factors above 0, the smaller first"):
            PlacementSettings(position="keep", size=size)
