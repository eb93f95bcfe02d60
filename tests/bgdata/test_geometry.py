"""Laws of boxes and of the centre crop."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from bgdata.geometry import Box, CentreCrop, mask_box, resize_pixels

SIZES = st.tuples(st.integers(20, 400), st.integers(20, 400))
BOXES = st.tuples(*[st.integers(-30, 430)] * 4).map(lambda edges: Box(*edges))
CROP = CentreCrop()


@given(BOXES, SIZES)
def test_a_clipped_box_lies_inside_and_stays_so(box: Box, size: tuple[int, int]) -> None:
    clipped = box.clipped(size)
    assert 0 <= clipped.x0 <= size[1]
    assert 0 <= clipped.y1 <= size[0]
    assert clipped.clipped(size) == clipped
    assert clipped.area <= box.area


@given(SIZES)
def test_the_window_is_a_central_square_inside_the_photo(size: tuple[int, int]) -> None:
    window = CROP.window(size)
    assert window.clipped(size) == window
    assert window.x1 - window.x0 == window.y1 - window.y0 == round(min(size) * 224 / 256)
    for before, after in ((window.x0, size[1] - window.x1), (window.y0, size[0] - window.y1)):
        assert 0 <= after - before <= 1


@given(SIZES)
def test_a_box_of_the_whole_photo_covers_the_whole_crop(size: tuple[int, int]) -> None:
    assert CROP.box(Box(0, 0, size[1], size[0]), size) == Box(0, 0, 224, 224)


@given(BOXES, SIZES)
def test_the_kept_share_is_a_share(box: Box, size: tuple[int, int]) -> None:
    assert 0 <= CROP.kept_share(box, size) <= 1


def test_the_kept_share_by_hand() -> None:
    # 256 x 512: the crop is columns 144 to 368, rows 16 to 240; the box lies half left of it.
    assert CROP.kept_share(Box(134, 50, 154, 60), (256, 512)) == 0.5
    assert CROP.kept_share(Box(0, 0, 50, 50), (256, 512)) == 0
    assert CROP.kept_share(Box(150, 50, 160, 60), (256, 512)) == 1


@given(st.integers(30, 120), st.integers(30, 120), st.data())
def test_a_masks_crop_and_its_boxs_crop_agree(height: int, width: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 10)), data.draw(st.integers(0, height - 10))
    box = Box(x0, y0, data.draw(st.integers(x0 + 8, width)), data.draw(st.integers(y0 + 8, height)))
    mask = np.zeros((height, width), bool)
    mask[box.y0 : box.y1, box.x0 : box.x1] = True
    found, expected = mask_box(CROP.mask(mask)), CROP.box(box, (height, width))
    if expected.area == 0 or found is None:
        return
    assert np.abs(np.subtract(found, expected)).max() <= 2


def test_image_and_mask_are_cut_at_the_same_place() -> None:
    image = np.zeros((120, 200, 3), np.uint8)
    image[40:80, 60:140] = 255
    bright = CROP.image(image)[..., 0] >= 128
    np.testing.assert_array_equal(bright, CROP.mask(image[..., 0] >= 128))


@given(SIZES)
def test_a_resize_to_its_own_size_changes_nothing(size: tuple[int, int]) -> None:
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint32).astype(np.uint8).reshape(*size, 3)
    np.testing.assert_array_equal(resize_pixels(pixels, size), pixels)


@given(SIZES, SIZES, st.sampled_from([1, 3]), st.integers(0, 9))
@example((200, 200), (100, 100), 3, 0)  # whole ratios, and one that is whole in one direction
@example((200, 200), (100, 90), 3, 0)
@example((30, 200), (60, 90), 3, 0)  # one side grows
def test_a_resize_has_the_bytes_of_opencv(
    size: tuple[int, int], target: tuple[int, int], channels: int, seed: int
) -> None:
    shape = size if channels == 1 else (*size, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    shrinks = target[0] < size[0] or target[1] < size[1]
    expected = cv2.resize(pixels, target[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_pixels(pixels, target), expected)


def test_an_empty_mask_has_no_box() -> None:
    assert mask_box(np.zeros((5, 5), bool)) is None


@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8), st.integers(1, 8))
def test_a_masks_box_is_tight(x0: int, y0: int, width: int, height: int) -> None:
    mask = np.zeros((20, 20), bool)
    mask[y0 : y0 + height, x0 : x0 + width] = True
    box = mask_box(mask)
    assert box == Box(x0, y0, x0 + width, y0 + height)
    assert box.area == mask.sum()


@pytest.mark.parametrize("box", [Box(5, 5, 5, 9), Box(9, 5, 5, 9), Box(9, 9, 5, 5)])
def test_a_box_turned_inside_out_has_no_area(box: Box) -> None:
    assert box.area == 0


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (400, 400)], ids=["landscape", "portrait", "square"])
def test_the_crop_is_the_view_of_resize_256_and_centre_224(size: tuple[int, int]) -> None:
    height, width = size
    noise = np.random.default_rng(0).integers(0, 256, (height // 50, width // 50, 3), dtype=np.uint8)
    photo = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    scale = 256 / min(size)
    scaled = Image.fromarray(photo).resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (scaled.width - 224) // 2, (scaled.height - 224) // 2
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)))
    assert np.abs(CROP.image(photo).astype(float) - expected).mean() <= 2
