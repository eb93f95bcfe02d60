"""One image corrupted: the same bytes whatever else is done, in its own size and kind, and words for what cannot be."""

import itertools
import re
from collections.abc import Iterator

import jaxtyping
import numpy as np
import pytest

from bgdata.corrupt.corruptions import CORRUPTIONS, EXTRA, REGIONS, SEVERITIES, STANDARD, Corruption, corrupt_image
from bgdata.errors import InputError
from tests.bgdata.reference_corruptions import drawn_photo, remembered

NAMES = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "gaussian_blur",
)
PHOTO = drawn_photo(40, 52)
MASK = np.zeros((40, 52), bool)
MASK[10:30, 15:40] = True


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Without the checks of shapes that the tests add: a user has none."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def corrupted(
    name: str, severity: int = 3, image: np.ndarray = PHOTO, image_id: str = "a", seed: int = 0
) -> np.ndarray:
    return corrupt_image(image, Corruption(name, severity), seed=seed, image_id=image_id)


def test_there_are_fifteen_and_four_which_are_the_references() -> None:
    assert (len(STANDARD), len(EXTRA)) == (15, 4)
    assert set(CORRUPTIONS) == set(remembered())


@pytest.mark.parametrize("size", [(32, 32), (33, 57), (64, 37)])
@pytest.mark.parametrize("name", NAMES)
def test_any_size_from_32_on_is_kept_at_every_severity(name: str, size: tuple[int, int]) -> None:
    photo = drawn_photo(*size)
    before = photo.copy()
    for severity in SEVERITIES:
        image = corrupted(name, severity, photo)
        assert (image.shape, image.dtype) == (photo.shape, np.uint8)
        assert (image != photo).any()
    np.testing.assert_array_equal(photo, before)  # nothing is written into the photo


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_the_same_in_any_order_and_company(name: str) -> None:
    wanted = [(severity, image_id) for severity in (1, 4) for image_id in ("a", "b")]
    forth = {key: corrupted(name, key[0], image_id=key[1]) for key in wanted}
    other = NAMES[NAMES.index(name) - 1]
    back = {}
    for key in reversed(wanted):
        corrupted(other, key[0], image_id=key[1])
        back[key] = corrupted(name, key[0], image_id=key[1])
    for key, image in forth.items():
        np.testing.assert_array_equal(image, back[key])


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur"])
def test_seed_and_image_change_what_is_drawn(name: str) -> None:
    assert (corrupted(name) != corrupted(name, image_id="b")).any()
    assert (corrupted(name) != corrupted(name, seed=1)).any()


@pytest.mark.parametrize("name", NAMES)
def test_where_an_image_lies_in_memory_changes_nothing(name: str) -> None:
    inside = np.zeros((60, 70, 3), np.uint8)
    inside[5:45, 9:61] = PHOTO
    np.testing.assert_array_equal(corrupted(name, image=inside[5:45, 9:61]), corrupted(name))
    mirrored = np.ascontiguousarray(PHOTO[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(corrupted(name, image=mirrored), corrupted(name))


@pytest.mark.parametrize("name", NAMES)
def test_grey_in_grey_out_as_the_first_channel_of_the_same_in_colours(name: str) -> None:
    grey = PHOTO[..., 1]
    image = corrupted(name, image=grey)
    assert (image.shape, image.dtype) == (grey.shape, np.uint8)
    np.testing.assert_array_equal(image, corrupted(name, image=np.dstack([grey] * 3))[..., 0])


@pytest.mark.parametrize("name", NAMES)
def test_regions_are_parts_of_the_same_corrupted_photo(name: str) -> None:
    whole = corrupted(name)
    for region, changed in (("foreground", MASK), ("background", ~MASK)):
        image = corrupt_image(PHOTO, Corruption(name, 3, region), seed=0, image_id="a", mask=MASK)
        np.testing.assert_array_equal(image[changed], whole[changed])
        np.testing.assert_array_equal(image[~changed], PHOTO[~changed])


def test_a_grey_photo_has_regions_too() -> None:
    grey = PHOTO[..., 0]
    image = corrupt_image(grey, Corruption("gaussian_noise", 3, "foreground"), seed=0, image_id="a", mask=MASK)
    np.testing.assert_array_equal(image[~MASK], grey[~MASK])
    np.testing.assert_array_equal(image[MASK], corrupted("gaussian_noise", image=grey)[MASK])


@pytest.mark.parametrize("region", ["foreground", "background"])
@pytest.mark.parametrize("mask", [None, MASK.T])
@pytest.mark.usefixtures("unchecked")
def test_a_region_needs_a_mask_of_the_photos_size(region: str, mask: np.ndarray | None) -> None:
    words = f"^{region}: the photo has no mask of its size: give one, or take region whole$"
    with pytest.raises(InputError, match=words):
        corrupt_image(PHOTO, Corruption("shot_noise", 1, region), seed=0, image_id="a", mask=mask)


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_there_are_five_severities(severity: int) -> None:
    with pytest.raises(InputError, match=f"^{severity} is no severity: give one of 1, 2, 3, 4, 5$"):
        Corruption("fog", severity)


def test_an_unknown_corruption_is_refused_with_those_there_are() -> None:
    words = "^'rain' is no corruption: give one of gaussian_noise, shot_noise, .*, saturate$"
    with pytest.raises(InputError, match=words):
        Corruption("rain", 1)


def test_an_unknown_region_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"^'sky' is no region: give one of whole, foreground, background$"):
        Corruption("fog", 1, "sky")


@pytest.mark.parametrize("size", [(16, 16), (31, 500), (500, 31)])
def test_a_small_image_is_refused(size: tuple[int, int]) -> None:
    words = rf"^an image is {size[0]}x{size[1]} \(height x width\): corruptions need at least 32x32, enlarge it$"
    with pytest.raises(InputError, match=words):
        corrupted("fog", image=np.zeros((*size, 3), np.uint8))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40, 3)),
        np.zeros((40, 40, 3), np.float32),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 40, 1), np.uint8),
        np.zeros((2, 40, 40, 3), np.uint8),
        np.zeros(40, np.uint8),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    words = f"an image is {image.dtype} of shape {image.shape}, expected uint8 of height x width (x 3): convert it"
    with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
        corrupted("fog", image=image)


def test_corruptions_have_a_folder_each() -> None:
    assert Corruption("fog", 2).folder == "whole/fog/2"
    every = itertools.product(CORRUPTIONS, SEVERITIES, REGIONS)
    folders = {Corruption(*one).folder for one in every}
    assert len(folders) == 19 * 5 * 3
