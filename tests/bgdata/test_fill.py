"""Holes and OpenCV's fillers, held to their laws."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from pydantic import ValidationError

from bgdata.compose.fill import Filler, Method, OpenCvFiller, continue_surroundings, hole_of
from bgdata.compose.settings import FilledSettings
from bgdata.errors import InputError
from bgdata.transfer_sets.shifts import remove_objects

METHODS: tuple[Method, ...] = ("telea", "navier_stokes")
FLAGS = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}
# Grey levels: inpainting one colour gives that colour but for its rounding.
SLACK = 6


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise, smooth or not, and one to three ellipses on it, often cut by the frame; neither empty nor everything."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(6, 90, 2)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if seed % 2:
        image = cv2.GaussianBlur(image, (0, 0), 2)
    hole = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 4)):
        centre, axes = rng.integers((0, 0), (width, height)), rng.integers(1, 20, 2)
        cv2.ellipse(hole, centre.tolist(), axes.tolist(), int(rng.integers(180)), 0, 360, 1, cv2.FILLED)
    hole[tuple(rng.integers((0, 0), (height, width)))] = 1
    hole[tuple(rng.integers((0, 0), (height, width)))] = 0
    return image, hole.astype(bool)


def filled_whole(image: np.ndarray, hole: np.ndarray, method: Method, radius: float) -> np.ndarray:
    """OpenCV's answer for the whole image; each pixel of the hole is its nearest outside before."""
    _, nearest = cv2.distanceTransformWithLabels(hole.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.zeros((nearest.max() + 1, 3), np.uint8)
    colours[nearest[~hole]] = image[~hole]
    return cv2.inpaint(colours[nearest], hole.view(np.uint8), radius, FLAGS[method])


radii = st.sampled_from([0.1, 0.6, 1.0, 1.5, 2.5, 3.0, 3.5, 5.0, 8.0, 40.0, 150.0])


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 10**6), radius=radii)
@settings(max_examples=80, deadline=None)
def test_the_surroundings_alone_give_the_whole_images_answer(method: Method, seed: int, radius: float) -> None:
    image, hole = drawn(seed)
    filled = continue_surroundings(image, hole, method=method, radius=radius)
    np.testing.assert_array_equal(filled, filled_whole(image, hole, method, radius))


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 10**6), radius=radii)
@settings(max_examples=60, deadline=None)
def test_pixels_outside_stay_and_those_inside_do_not_matter(method: Method, seed: int, radius: float) -> None:
    image, hole = drawn(seed)
    other = image.copy()
    other[hole] = np.random.default_rng(seed).integers(0, 256, (int(hole.sum()), 3))
    filled = continue_surroundings(image, hole, method=method, radius=radius)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    np.testing.assert_array_equal(filled, continue_surroundings(other, hole, method=method, radius=radius))


def test_opencv_itself_reads_under_a_hole() -> None:
    """Why its nearest pixel outside is put in place of each inside, also where the frame is not touched."""
    seeds = range(400)
    read = 0
    for image, hole in map(drawn, seeds):
        inner = hole.copy()
        inner[[0, -1]] = inner[:, [0, -1]] = False
        black = image.copy()
        black[inner] = 0
        one, two = (cv2.inpaint(each, inner.view(np.uint8), 3, cv2.INPAINT_NS) for each in (image, black))
        read += not np.array_equal(one, two)
    assert read


@pytest.mark.parametrize("method", METHODS)
def test_a_hole_in_one_colour_becomes_that_colour(method: Method) -> None:
    image = np.full((60, 80, 3), (10, 200, 90), np.uint8)
    hole = np.zeros((60, 80), bool)
    hole[20:, 10:50] = True
    image[hole] = (255, 0, 255)
    filled = continue_surroundings(image, hole, method=method, radius=3.0)
    assert np.abs(filled.astype(int) - (10, 200, 90)).max() <= SLACK


@pytest.mark.parametrize("method", METHODS)
def test_a_filler_answers_for_each_image_alone(method: Method) -> None:
    images, holes = zip(*map(drawn, range(5)), strict=True)
    filler = OpenCvFiller(method, 3.0)
    assert isinstance(filler, Filler)
    together = filler.fill(images, holes)
    for image, hole, found in zip(images, holes, together, strict=True):
        np.testing.assert_array_equal(found, filler.fill([image], [hole])[0])


def test_without_a_hole_the_image_is_copied() -> None:
    image, hole = drawn(3)
    (filled,) = OpenCvFiller("telea", 3.0).fill([image], [np.zeros_like(hole)])
    np.testing.assert_array_equal(filled, image)
    assert not np.shares_memory(filled, image)


def test_a_hole_that_covers_everything_is_refused() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    with pytest.raises(
        InputError,
        match=r"^the hole covers the whole image \(20x30, height x width\): nothing is left to fill it from; leave the "
        r"image out, or dilate its mask less$",
    ):
        OpenCvFiller("telea", 3.0).fill([image], [np.ones((20, 30), bool)])


def test_the_transfer_fills_by_the_same_function_what_it_filled_before() -> None:
    for seed in range(20):
        image, mask = drawn(seed)
        reach = max(round(0.02 * sum(mask.shape) / 2), 1)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        rim = cv2.dilate(mask.view(np.uint8), disc).astype(bool)
        if not rim.all():
            np.testing.assert_array_equal(remove_objects(image, mask, "telea"), filled_whole(image, rim, "telea", 3))


@pytest.mark.parametrize("dilate", [-1, 2.5, "other"])
def test_settings_refuse_what_no_hole_can_be_dilated_by(dilate: object) -> None:
    plain = {"kind": "filled", "method": "telea", "weights": None, "radius": 3.0, "at": "crop"}
    rest = {"max_foreground": 0.8, "splits": ["train"]}
    assert FilledSettings.model_validate({**plain, **rest, "dilate": 0}).dilate == 0
    with pytest.raises(ValidationError, match="dilate"):
        FilledSettings.model_validate({**plain, **rest, "dilate": dilate})


@given(seed=st.integers(0, 10**6), dilate=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
def test_a_hole_reaches_as_far_as_it_is_dilated(seed: int, dilate: int) -> None:
    _, mask = drawn(seed)
    hole = hole_of(mask, dilate)
    distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The disc is of whole pixels: its rim is rounded.
    assert hole[distance <= dilate - 1].all()
    assert not hole[distance > dilate + 0.5].any()
    if dilate == 0:
        np.testing.assert_array_equal(hole, mask)


def reach_beside(mask: np.ndarray) -> int:
    """How far to the left of a mask the hole of ForAug's recipe begins."""
    first_of = [int(np.flatnonzero(each.any(0))[0]) for each in (mask, hole_of(mask, "foraug"))]
    return first_of[0] - first_of[1]


def test_the_reach_of_foraugs_blur() -> None:
    """The three box blurs of PIL's reach 21 pixels on paper; grey levels below one half are rounded away."""
    mask = np.zeros((200, 200), bool)
    mask[:, 100:] = True
    assert reach_beside(mask) == 18
    mask[:, 105:] = mask[:98] = mask[103:] = False
    assert reach_beside(mask) == 16
    mask[:] = False
    mask[100, 100] = True
    assert reach_beside(mask) == 9


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_foraugs_hole_is_what_its_blurred_picture_shows(seed: int) -> None:
    _, mask = drawn(seed)
    blurred = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius=7))
    hole = hole_of(mask, "foraug")
    np.testing.assert_array_equal(hole, np.asarray(blurred) > 0)
    assert hole[mask].all()
    assert not (hole & ~hole_of(mask, 30)).any()
