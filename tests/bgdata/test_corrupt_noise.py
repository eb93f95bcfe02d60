"""Noise: the reference's values where its numbers are fed in, its distribution where they cannot be."""

import itertools

import cv2
import numpy as np
import pytest
from scipy import stats

from bgdata.corrupt import noise
from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES
from tests.bgdata.reference_corruptions import (
    differences,
    drawn_photo,
    reference_generator,
    reference_image,
    reference_package,
    remembered_photo,
    remembered_statistics,
    statistics,
)
from tests.conftest import IMAGENET_SAMPLE

FED = ("gaussian_noise", "impulse_noise", "speckle_noise")
GREY = np.full((64, 80, 3), 128, np.uint8)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", FED)
def test_the_reference_fed_with_the_same_numbers_is_met_to_the_level(name: str, severity: int) -> None:
    image = CORRUPTIONS[name](remembered_photo(), severity, reference_generator(name, 0))
    # Normal numbers take a logarithm, whose last bit differs between processors: one value in ten thousand would do.
    off = differences(image, name, severity)
    assert off.max() <= 1
    assert off.sum() <= 1


@pytest.mark.parametrize("name", FED)
def test_the_reference_itself_is_met_to_the_level_at_any_size(name: str) -> None:
    package = reference_package()
    for size, severity in itertools.product(((32, 32), (33, 57), (96, 128), (224, 224)), SEVERITIES):
        photo = drawn_photo(*size)
        ours = CORRUPTIONS[name](photo, severity, reference_generator(name, 7))
        np.testing.assert_array_equal(ours, reference_image(package, photo, name, severity, seed=7))


@pytest.mark.slow
@pytest.mark.skipif(not IMAGENET_SAMPLE.is_dir(), reason=f"no photos in {IMAGENET_SAMPLE}")
@pytest.mark.parametrize("name", FED)
def test_the_reference_is_met_on_real_photos(name: str) -> None:
    package = reference_package()
    for path in sorted(IMAGENET_SAMPLE.rglob("*.JPEG"))[:40:4]:
        photo = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        for severity in SEVERITIES:
            ours = CORRUPTIONS[name](photo, severity, reference_generator(name, 1))
            np.testing.assert_array_equal(ours, reference_image(package, photo, name, severity, seed=1))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_photons_have_poissons_probabilities_at_every_level(severity: int) -> None:
    photons = noise.SHOT_PHOTONS[severity - 1]
    shares, choices = noise._photon_tables(photons)
    own = shares / 2.0**32
    made = np.zeros((256, 256))
    for level in range(256):
        np.add.at(made[level], choices[level, :, 0], own[level] / own.shape[1])
        np.add.at(made[level], choices[level, :, 1], (1 - own[level]) / own.shape[1])
    mean = np.arange(256) / 255 * photons
    expected = np.zeros((256, 256))
    for count in range(photons):
        expected[:, int(count / photons * 255)] += stats.poisson.pmf(count, mean)
    expected[:, 255] += stats.poisson.sf(photons - 1, mean)
    np.testing.assert_allclose(made, expected, atol=1e-9)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_drawn_photons_are_as_likely_as_the_tables_say(severity: int) -> None:
    photons = noise.SHOT_PHOTONS[severity - 1]
    image = np.full((100, 200, 3), 100, np.uint8)
    drawn = noise.shot_noise(image, severity, np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=256)
    expected = np.zeros(256)
    probabilities = noise._photon_probabilities(photons)[100]
    np.add.at(expected, (np.arange(photons + 1) / photons * 255).astype(int), probabilities * image.size)
    assert (counts[expected == 0] == 0).all()
    likely = expected > 5
    # Five standard deviations: by chance, one of the hundred-odd counts here would be off once in ten thousand seeds.
    assert (np.abs(counts - expected)[likely] < 5 * np.sqrt(expected[likely])).all()


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", [*FED, "shot_noise"])
def test_mean_spread_and_spectrum_are_the_references(name: str, severity: int) -> None:
    seeds = 4
    measured = np.mean(
        [
            statistics(CORRUPTIONS[name](remembered_photo(), severity, np.random.default_rng(seed)))
            for seed in range(seeds)
        ],
        axis=0,
    )
    mean, spread = remembered_statistics(name, severity)
    # The reference's own spread over seeds, of a mean over eight seeds and one over ours. It is known from eight seeds
    # alone: six deviations are passed once in 2000 comparisons (Student's t, 7 degrees of freedom), and here are 200.
    assert (np.abs(measured - mean) < 6 * spread * np.sqrt(1 / 8 + 1 / seeds) + 1e-3).all()


@pytest.mark.parametrize("name", ["shot_noise", "speckle_noise"])
def test_noise_in_proportion_to_light_leaves_black_black(name: str) -> None:
    black = np.zeros((40, 40, 3), np.uint8)
    assert not CORRUPTIONS[name](black, 5, np.random.default_rng(0)).any()


@pytest.mark.parametrize("severity", (1, 2, 3))
@pytest.mark.parametrize(
    ("name", "scales", "light"),
    [("gaussian_noise", noise.GAUSSIAN_SCALES, 1.0), ("speckle_noise", noise.SPECKLE_SCALES, 0.5)],
)
def test_normal_noise_has_the_scale_of_its_table(
    name: str, scales: tuple[float, ...], light: float, severity: int
) -> None:
    values = CORRUPTIONS[name](GREY, severity, np.random.default_rng(0))[8:].astype(float)
    # Clipping takes little off at these; truncation half a level.
    assert values.std() == pytest.approx(scales[severity - 1] * light * 255, rel=0.03)
    assert values.mean() == pytest.approx(127.5, abs=4 * values.std() / np.sqrt(values.size))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulses_are_the_tables_share_half_of_them_white(severity: int) -> None:
    image = noise.impulse_noise(GREY, severity, np.random.default_rng(0))
    share = noise.IMPULSE_SHARES[severity - 1]
    assert set(np.unique(image)) == {0, 128, 255}
    for level in (0, 255):
        assert (image == level).mean() == pytest.approx(share / 2, abs=5 * np.sqrt(share / 2 / image.size))


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "speckle_noise"])
def test_values_do_not_depend_on_how_many_are_computed_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = drawn_photo(60, 90)
    whole = CORRUPTIONS[name](photo, 3, np.random.default_rng(0))
    for values in (1, 1000):
        monkeypatch.setattr(noise, "PART_VALUES", values)
        np.testing.assert_array_equal(CORRUPTIONS[name](photo, 3, np.random.default_rng(0)), whole)
