"""GrabCut at half size: as the exact one where there is an edge, and its models of colour against OpenCV's."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.masks.metrics import iou
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.synthetic.scene import draw_scene
from models.segmenters.base import Photo
from models.segmenters.colour_models import ColourModel, colour_features, relearn_both
from models.segmenters.factory import build_segmenter
from models.segmenters.grabcut import GrabCut, is_foreground, start_from_box
from models.segmenters.grabcut_fast import GrabCutFast
from models.segmenters.settings import GrabCutFastSettings, SegmentJob
from tests.conftest import draw_object

FAST = GrabCutFast(iterations=5, band=16, seed=0)
EXACT = GrabCut(iterations=5, seed=0)


def photo(image: np.ndarray, box: Box | None, image_id: str = "n1_1") -> Photo:
    return Photo(id=image_id, label=0, wnid="n1", image=image, box=box)


def draw_scenes(count: int) -> list[tuple[Photo, np.ndarray]]:
    """Photos of the demo's kind with their true masks."""
    scenes = [
        draw_scene(label=label, size=(160, 200), bias=0.5, difficulty=0.3, rng=np.random.default_rng(label))
        for label in range(count)
    ]
    return [(photo(scene.image, Box(*scene.box), f"n1_{n}"), scene.mask) for n, scene in enumerate(scenes)]


def job(**settings: Any) -> SegmentJob:
    return SegmentJob(
        method="grabcut_fast",
        clean=CleanSettings(min_piece=0.02, max_hole=0.02, largest_only=False),
        quality=QualitySettings(min_box_share=0.1, max_photo_share=0.95),
        **settings,
    )


def test_it_finds_an_object_and_nothing_outside_its_box() -> None:
    image, truth = draw_object(np.random.default_rng(1))
    tight = mask_box(truth)
    box = Box(tight.x0 - 3, tight.y0 - 3, tight.x1 + 3, tight.y1 + 3)
    (answer,) = FAST.segment([photo(image, box)])
    assert answer.mask.dtype == bool and answer.mask.shape == truth.shape
    assert iou(answer.mask, truth) > 0.95
    outside = answer.mask.copy()
    outside[box.y0 : box.y1, box.x0 : box.x1] = False
    assert not outside.any()


def test_it_agrees_with_the_exact_one_on_drawn_scenes() -> None:
    """Measured: median 0.98, mean 0.90 (the exact one with itself under another seed: 0.998 and 0.96)."""
    photos = [one for one, _ in draw_scenes(9)]
    pairs = zip(FAST.segment(photos), EXACT.segment(photos), strict=True)
    overlaps = [iou(fast.mask, exact.mask) for fast, exact in pairs]
    assert np.median(overlaps) > 0.95
    assert np.mean(overlaps) > 0.85


def test_it_depends_on_the_photo_and_the_seed_alone() -> None:
    photos = [one for one, _ in draw_scenes(4)]
    together = FAST.segment(photos)
    cv2.setRNGSeed(99)
    alone = [FAST.segment([one])[0] for one in reversed(photos)][::-1]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    with ThreadPoolExecutor(3) as threads:
        apart = [answer for (answer,) in threads.map(lambda one: FAST.segment([one]), photos)]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    reseeded = GrabCutFast(iterations=5, band=16, seed=1).segment(photos)
    assert any((one.mask != other.mask).any() for one, other in zip(together, reseeded, strict=True))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (None, "no_box"),
        (Box(0, 0, 50, 40), "no_background"),
        (Box(-5, -5, 60, 60), "no_background"),
        (Box(0, 0, 50, 39), None),
        (Box(10, 10, 10, 30), "box_too_small"),
        (Box(60, 10, 80, 30), "box_too_small"),
        (Box(48, 10, 80, 30), None),
        (Box(3, 3, 6, 5), None),
    ],
)
@pytest.mark.parametrize("shade", [0, 77, 255])
def test_it_survives_any_box_on_a_photo_of_one_colour(box: Box | None, reason: str | None, shade: int) -> None:
    (answer,) = FAST.segment([photo(np.full((40, 50, 3), shade, np.uint8), box)])
    assert answer.reason == reason
    assert (answer.mask is None) == (reason is not None)


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (3, 7), (31, 33)])
def test_it_survives_any_size_and_photos_of_few_colours(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    image = rng.choice(np.uint8([0, 1, 255]), (*size, 3))
    box = Box(0, 0, max(size[1] // 2, 1), max(size[0] // 2, 1))
    (answer,) = FAST.segment([photo(image, box)])
    assert answer.reason == ("box_too_small" if box.area < 5 else None)


def test_a_box_too_small_for_half_size_gets_the_exact_one() -> None:
    image, _ = draw_object(np.random.default_rng(2))
    small = photo(image, Box(148, 128, 152, 132))
    np.testing.assert_array_equal(FAST.segment([small])[0].mask, EXACT.segment([small])[0].mask)


def test_a_foreground_that_vanishes_at_half_size_gets_the_exact_one() -> None:
    """A few thin hairs within the box: all else in it looks like what is around it."""
    rng = np.random.default_rng(3)
    image = rng.normal(120, 12, (120, 160, 3)).clip(0, 255).astype(np.uint8)
    image[30:90, 60:100:13] = 235
    hairs = photo(image, Box(30, 20, 130, 100))
    start = start_from_box(hairs, hairs.box, seed=0, iterations=0)
    assert FAST._by_halves(start) is None
    np.testing.assert_array_equal(FAST.segment([hairs])[0].mask, EXACT.segment([hairs])[0].mask)


def test_the_models_of_colour_are_those_that_opencv_learns() -> None:
    one, _ = draw_scenes(1)[0]
    start = start_from_box(one, one.box, seed=0, iterations=0)
    models = ColourModel.from_opencv(start.background), ColourModel.from_opencv(start.foreground)
    ours = relearn_both(models, colour_features(start.image), is_foreground(start.labels))
    theirs = start_from_box(one, one.box, seed=0, iterations=1)
    np.testing.assert_allclose(ours[0].to_opencv(), theirs.background, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[1].to_opencv(), theirs.foreground, rtol=1e-6, atol=1e-6)


def test_a_squared_model_is_the_square_of_a_density_of_one_component() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    features = colour_features(pixels)
    start = ColourModel(np.array([1.0, 0, 0, 0, 0]), np.full((5, 3), 128.0), np.stack([np.eye(3)] * 5))
    model = start.relearned(features)
    assert model.weights.tolist() == [1, 0, 0, 0, 0]

    def density(one: ColourModel) -> np.ndarray:
        away = pixels.reshape(-1, 3) - one.means[0]
        cost = (away @ np.linalg.inv(one.covariances[0]) * away).sum(1)
        return one.weights[0] / np.sqrt(np.linalg.det(one.covariances[0])) * np.exp(-0.5 * cost)

    np.testing.assert_allclose(density(model.squared()), density(model) ** 2, rtol=1e-6)


def test_the_factory_builds_it_from_its_own_section() -> None:
    settings = job(grabcut_fast=GrabCutFastSettings(iterations=3, band=8))
    assert build_segmenter(settings, seed=7) == GrabCutFast(iterations=3, band=8, seed=7)
    with pytest.raises(InputError, match=r"segment.method is `grabcut_fast`, but segment.grabcut_fast is missing"):
        build_segmenter(job(), seed=0)
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        GrabCutFastSettings(iterations=1, band=8)
