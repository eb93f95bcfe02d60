"""Contrast, elastic transform, pixelation, JPEG and saturation: the reference's numbers, and independent ones."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import map_coordinates
from skimage.color import hsv2rgb, rgb2hsv

from bgdata.corrupt import digital
from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES
from bgdata.corrupt.digital import move_pixels
from bgdata.corrupt.hsv import change_hsv
from tests.bgdata.reference_corruptions import (
    drawn_photo,
    reference_generator,
    reference_image,
    reference_package,
    remembered_photo,
    remembered_samples,
    samples,
)

NAMES = ("contrast", "elastic_transform", "pixelate", "jpeg_compression", "saturate")
SIZES = ((32, 32), (33, 57), (300, 500), (32, 700))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_met_to_the_grey_level(name: str, severity: int) -> None:
    ours = samples(CORRUPTIONS[name](remembered_photo(), severity, reference_generator(name, 0)))
    difference = np.abs(ours.astype(int) - remembered_samples(name, severity))
    assert difference.max() <= 1
    assert difference.mean() <= 0.01  # another processor's last bit


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_the_reference_is_met_exactly_beside_it(name: str, size: tuple[int, int]) -> None:
    package = reference_package()
    photo = drawn_photo(*size)
    flat = [np.full_like(photo, colour) for colour in (0, 255, (17, 99, 200))]
    for image in (photo, *flat) if photo.size < 100_000 else (photo,):
        for severity in SEVERITIES:
            ours = CORRUPTIONS[name](image, severity, reference_generator(name, 3))
            np.testing.assert_array_equal(ours, reference_image(package, image, name, severity, seed=3))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_any_size_gives_the_same_bytes_again(name: str, size: tuple[int, int]) -> None:
    photo = drawn_photo(*size)
    before = photo.copy()
    for severity in SEVERITIES:
        first, second = (CORRUPTIONS[name](photo, severity, np.random.default_rng(1)) for _ in range(2))
        assert first.shape == photo.shape
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(first, second)
        assert (first != photo).any()
        first[0] = 0  # the caller's own
    np.testing.assert_array_equal(photo, before)


def test_only_elastic_transform_draws() -> None:
    for name in NAMES:
        one, other = (CORRUPTIONS[name](drawn_photo(64, 64), 5, np.random.default_rng(seed)) for seed in (1, 2))
        assert (one == other).all() == (name != "elastic_transform")


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (7, 100, 201)])
def test_one_colour_stays_one_colour(colour: tuple[int, int, int]) -> None:
    flat = np.full((40, 50, 3), colour, np.uint8)
    for name in NAMES:
        for severity in SEVERITIES:
            corrupted = CORRUPTIONS[name](flat, severity, np.random.default_rng(0))
            assert (corrupted == corrupted[0, 0]).all()
            if name in ("contrast", "elastic_transform", "pixelate"):
                assert np.abs(corrupted.astype(int) - flat).max() <= 1  # cut, not rounded


def test_contrast_shrinks_about_the_mean_of_each_channel() -> None:
    photo = drawn_photo(60, 80)
    for severity, kept in zip(SEVERITIES, digital.CONTRAST, strict=True):
        flatter = digital.contrast(photo, severity, np.random.default_rng(0))
        np.testing.assert_allclose(flatter.mean((0, 1)), photo.mean((0, 1)) - 0.5, atol=0.5)
        np.testing.assert_allclose(flatter.std((0, 1)), kept * photo.std((0, 1)), atol=0.5)


@pytest.mark.parametrize("reach", [0, 0.7, 5, 200])
def test_pixels_move_as_scipy_moves_them(reach: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((33, 40, 3), np.float32)
    down, right = rng.uniform(-reach, reach, (2, 33, 40)).astype(np.float32)
    places = [np.arange(33)[:, None] + down, np.arange(40) + right]
    expected = np.stack([map_coordinates(image[..., c], places, order=1, mode="reflect") for c in range(3)], -1)
    np.testing.assert_allclose(move_pixels(image, down=down, right=right), expected, atol=1e-6)


def test_nothing_moves_where_no_pixel_does() -> None:
    image = np.random.default_rng(0).random((300, 200, 3), np.float32)
    still = np.zeros((300, 200), np.float32)
    np.testing.assert_array_equal(move_pixels(image, down=still, right=still), image)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixels_are_as_coarse_as_the_table_says(severity: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    coarse = digital.pixelate(image, severity, np.random.default_rng(0))
    kept = digital.PIXELATE[severity - 1]
    assert 1 + (np.diff(coarse.astype(int), axis=0) != 0).any((1, 2)).sum() == int(40 * kept)
    assert 1 + (np.diff(coarse.astype(int), axis=1) != 0).any((0, 2)).sum() == int(60 * kept)


@pytest.mark.parametrize("size", [(32, 32), (41, 67), (200, 301)])
def test_compression_is_what_pillow_writes_and_reads(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for photo in (drawn_photo(*size), noise):
        for severity, quality in zip(SEVERITIES, (25, 18, 15, 10, 7), strict=True):
            file = BytesIO()
            Image.fromarray(photo).save(file, format="JPEG", quality=quality)
            compressed = digital.jpeg_compression(photo, severity, np.random.default_rng(0))
            np.testing.assert_array_equal(compressed, np.asarray(Image.open(file)))


@pytest.mark.parametrize(
    ("raised", "factor", "offset"), [(0, 1, 0), (0.3, 1, 0), (0.5, 1, 0), (0, 0.3, 0), (0, 2, 0), (0, 20, 0.2)]
)
def test_hsv_is_scikit_images_to_the_last_bit(raised: float, factor: float, offset: float) -> None:
    """On random colours, on all greys, and where two channels are equal: there the sextants of hue meet."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (4, 40_000, 3), dtype=np.uint8)
    colours[1] = np.sort(colours[1])[:, [[0, 0, 2], [0, 2, 2]][rng.integers(2)]]
    colours[2] = rng.permuted(colours[1], axis=1)
    colours[3, :256] = np.arange(256)[:, None]
    ours = change_hsv(colours, lambda v, s: (np.clip(v + raised, 0, 1), np.clip(s * factor + offset, 0, 1)))
    hsv = rgb2hsv(colours / 255.0)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + offset, 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] + raised, 0, 1)
    np.testing.assert_array_equal(ours, (np.clip(hsv2rgb(hsv), 0, 1) * 255).astype(np.uint8))


def test_strong_saturation_turns_grey_red() -> None:
    grey = np.full((32, 32, 3), 120, np.uint8)
    for severity, red in zip(SEVERITIES, (False, False, False, True, True), strict=True):
        corner = digital.saturate(grey, severity, np.random.default_rng(0))[0, 0]
        assert (corner[0] > corner[1]) == red
        assert corner[1] == corner[2]
