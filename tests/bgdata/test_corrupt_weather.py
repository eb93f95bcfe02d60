"""Snow, frost, fog, brightness and spatter: the reference's numbers, and frost that is drawn."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import zoom

from bgdata.corrupt import frost_pictures, weather
from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES
from bgdata.corrupt.plasma import draw_plasma
from bgdata.corrupt.smear import enlarge_middle, smear
from tests.bgdata.reference_corruptions import (
    LegacyGenerator,
    drawn_photo,
    reference_generator,
    reference_image,
    reference_package,
    remembered_photo,
    remembered_samples,
    remembered_statistics,
    samples,
    statistics,
)

NAMES = ("snow", "frost", "fog", "brightness", "spatter")
# Frost's pictures are our own.
EQUAL = ("snow", "fog", "brightness", "spatter")
SIZES = ((32, 32), (33, 57), (300, 500))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", EQUAL)
def test_the_reference_is_met_to_the_grey_level(name: str, severity: int) -> None:
    ours = samples(CORRUPTIONS[name](remembered_photo(), severity, reference_generator(name, 0)))
    difference = np.abs(ours.astype(int) - remembered_samples(name, severity))
    assert difference.max() <= 1
    assert difference.mean() <= 0.01  # another processor's last bit


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EQUAL)
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
    np.testing.assert_array_equal(photo, before)


def test_only_brightness_draws_nothing() -> None:
    for name in NAMES:
        one, other = (CORRUPTIONS[name](drawn_photo(64, 64), 5, np.random.default_rng(seed)) for seed in (1, 2))
        assert (one == other).all() == (name == "brightness")


def test_every_flake_falls_twice() -> None:
    snowy = weather.snow(np.full((48, 64, 3), 60, np.uint8), 3, np.random.default_rng(0))
    # Either order of the two flakes is a sum of its own: a last bit may cut another level.
    assert np.abs(snowy.astype(int) - snowy[::-1, ::-1]).max() <= 1
    assert len(np.unique(snowy)) > 50


def test_fog_leaves_black_black_and_shows_the_corner_of_a_larger_cloud() -> None:
    assert not weather.fog(np.zeros((40, 40, 3), np.uint8), 5, np.random.default_rng(0)).any()
    grey = np.full((100, 120, 3), 128, np.uint8)
    large, small = (weather.fog(image, 2, np.random.default_rng(0)) for image in (grey, grey[:70, :80]))
    np.testing.assert_array_equal(large[:70, :80], small)


def test_plasma_fills_its_range() -> None:
    plasma = draw_plasma(64, decay=2.0, rng=np.random.default_rng(0))
    assert plasma.shape == (64, 64)
    assert (plasma.min(), plasma.max()) == (0, 1)
    smoother = draw_plasma(64, decay=4.0, rng=np.random.default_rng(0))
    assert np.abs(np.diff(smoother)).mean() < np.abs(np.diff(plasma)).mean()


@pytest.mark.parametrize("factor", [2.0, 2.5, 3.0, 4.0, 4.5])
def test_the_middle_is_enlarged_as_scipy_does(factor: float) -> None:
    for size in ((32, 33), (40, 57), (64, 81)):
        picture = np.random.default_rng(0).normal(size=size)
        kept = [int(np.ceil(side / factor)) for side in size]
        top, left = ((side - part) // 2 for side, part in zip(size, kept, strict=True))
        expected = zoom(picture[top : top + kept[0], left : left + kept[1]], factor, order=1)
        np.testing.assert_allclose(enlarge_middle(picture, factor), expected, atol=1e-12)


@pytest.mark.parametrize("angle", [-135.0, -100.5, -90.0, -45.0, 0.0, 30.0])
def test_a_smear_is_a_filter(angle: float) -> None:
    picture = np.random.default_rng(0).random((40, 50))
    kernel = np.zeros((31, 31))
    weights = np.exp(-(np.arange(15) ** 2) / 32)
    for step, weight in enumerate(weights / weights.sum()):
        y, x = (np.ceil(step * turn(np.deg2rad(angle)) - 0.5).astype(int) for turn in (np.sin, np.cos))
        kernel[15 + y, 15 + x] += weight
    expected = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(smear(picture, radius=7, sigma=4.0, angle=angle), expected, atol=1e-12)


def test_a_copy_that_leaves_a_small_picture_is_not_added() -> None:
    assert smear(np.ones((5, 40)), radius=7, sigma=4.0, angle=-90.0).max() < 0.9


def test_a_photo_on_which_no_drop_falls_stays_dry() -> None:
    photo = drawn_photo(32, 32)
    dry, wet = (weather.spatter(photo, 1, np.random.default_rng(seed)) for seed in (354, 0))
    np.testing.assert_array_equal(dry, photo)
    assert (wet != photo).any()


def test_mud_is_brown_and_water_pale() -> None:
    black, white = np.zeros((96, 96, 3), np.uint8), np.full((96, 96, 3), 255, np.uint8)
    muddy = weather.spatter(white, 4, np.random.default_rng(0)).reshape(-1, 3)
    assert (muddy == weather.MUD).all(1).any()
    wet = weather.spatter(black, 2, np.random.default_rng(0)).astype(int)
    assert 0 < wet[..., 0].max() < wet[..., 1].max() == wet[..., 2].max()


class TestFrost:
    def test_is_blended_as_the_reference_blends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both are given a drawn picture; the seeds are such that five and six pictures give the same draw."""
        package = reference_package()
        picture = drawn_photo(frost_pictures.HEIGHT, frost_pictures.WIDTH, seed=5)
        monkeypatch.setattr(cv2, "imread", lambda path: np.ascontiguousarray(picture[..., ::-1]))  # noqa: ARG005
        monkeypatch.setattr(frost_pictures, "draw_picture", lambda number: picture)  # noqa: ARG005
        frost_pictures.enlarged_picture.cache_clear()
        seeds = [seed for seed in range(20) if LegacyGenerator(seed).integers(8) < 5][:3]
        try:
            for size in (*SIZES, (450, 90), (64, 700), (450, 700)):
                for severity, seed in zip(SEVERITIES, seeds * 2, strict=False):
                    ours = weather.frost(drawn_photo(*size), severity, LegacyGenerator(seed))
                    theirs = reference_image(package, drawn_photo(*size), "frost", severity, seed=seed)
                    np.testing.assert_array_equal(ours, theirs)
        finally:
            frost_pictures.enlarged_picture.cache_clear()

    @pytest.mark.parametrize("severity", SEVERITIES)
    def test_is_a_weighted_sum_cut_at_white(self, severity: int, monkeypatch: pytest.MonkeyPatch) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (33, 65, 3), dtype=np.uint8)
        monkeypatch.setattr(weather, "fitted_picture", lambda *_: picture)
        photo = np.random.default_rng(1).integers(0, 256, (32, 64, 3), dtype=np.uint8)
        share, frost_share = weather.FROST[severity - 1]
        expected = np.clip(share * photo + frost_share * picture[:32, :64], 0, 255).astype(np.uint8)
        np.testing.assert_array_equal(weather.frost(photo, severity, np.random.default_rng(0)), expected)

    @pytest.mark.parametrize("severity", SEVERITIES)
    def test_changes_a_photo_about_as_much_as_the_published_pictures(self, severity: int) -> None:
        """Mean and spread within those of the pictures that both draw by chance; each octave of the spectrum near."""
        frosted = [weather.frost(remembered_photo(), severity, np.random.default_rng(seed)) for seed in range(24)]
        ours = np.mean([statistics(image) for image in frosted], 0)
        theirs, spread = remembered_statistics("frost", severity)
        assert np.abs(ours - theirs)[:2].max() <= 2 * spread[:2].max()
        np.testing.assert_allclose(ours[2:], theirs[2:], atol=0.35)

    def test_pictures_look_like_the_published_in_brightness_contrast_and_colour(self) -> None:
        """Mean and spread by channel, measured in the five photographs."""
        means = ((78, 149, 166), (201, 205, 214), (138, 153, 165), (112, 123, 135), (71, 95, 105))
        spreads = ((27, 16, 15), (21, 22, 23), (28, 28, 30), (44, 43, 42), (35, 43, 47))
        # Mean difference of neighbours: how fine the ice is.
        fineness = (7.4, 7.9, 13.2, 17.4, 15.2)
        assert len(frost_pictures.PICTURES) == 5
        for number, (mean, spread, fine) in enumerate(zip(means, spreads, fineness, strict=True)):
            picture = frost_pictures.draw_picture(number)
            assert picture.shape == (frost_pictures.HEIGHT, frost_pictures.WIDTH, 3)
            np.testing.assert_allclose(picture.mean((0, 1)), mean, atol=6)
            np.testing.assert_allclose(picture.std((0, 1)), spread, atol=6)
            assert 0.8 < np.abs(np.diff(picture.mean(2), axis=1)).mean() / fine < 1.25

    def test_pictures_are_drawn_alike_in_every_process(self) -> None:
        np.testing.assert_array_equal(frost_pictures.draw_picture.__wrapped__(0), frost_pictures.draw_picture(0))

    def test_a_picture_covers_any_photo(self) -> None:
        for size in ((32, 32), (399, 601), (900, 40)):
            height, width = frost_pictures.fitted_picture(1, *size).shape[:2]
            assert height > size[0]
            assert width > size[1]
