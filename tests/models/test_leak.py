"""What backgrounds give away: holes that betray their class and holes that do not, and what is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from bgdata.classes import plain_class_list
from bgdata.compose.fill import OpenCvFiller
from bgdata.compose.names import FG_MASK, background_set
from bgdata.geometry import Box, mask_box
from bgdata.io import encode_mask, encode_png
from bgdata.pixels import ImageSource
from bgdata.shards import ImageSet, Row
from models.classifiers.judged import Judged
from models.evaluation.in9 import Judgement
from models.evaluation.leak import Filled, Holes, Remover, Tiles, background_leak, hole_leak, make_holes
from models.evaluation.leak_found import find_objects, found_share
from models.evaluation.leak_sources import open_leaks
from models.evaluation.statistics import mean_interval
from models.segmenters.base import Photo, Segmentation
from tests.models.conftest import write_set

CLASSES = plain_class_list("two", ["tall", "wide"])
COUNT, SIDE = 24, 32
RUN = {"device": torch.device("cpu"), "eval_batch": 8}
LABELS = np.arange(COUNT) % 2
IDS = [f"photo_{number}" for number in range(COUNT)]


class Constant(nn.Module):
    """Answers one class whatever it sees."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.label = label

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return torch.eye(2)[self.label].expand(len(images), 2)


class Shape(nn.Module):
    """Reads the class from a white hole on grey: tall is 0, wide is 1; of an image without one it says 0."""

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        white = images.mean(1) > 0.9
        height, width = white.any(2).sum(1), white.any(1).sum(1)
        return nn.functional.one_hot((width > height).long(), 2).float()


class WhiteHoles:
    """Paints the mask white: a source that shows the shape."""

    def remove(
        self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray], boxes: Sequence[Box]
    ) -> list[np.ndarray]:
        """Paint."""
        del boxes
        return [np.where(mask[..., None], np.uint8(255), image) for image, mask in zip(images, masks, strict=True)]


class NoHoles:
    """Leaves the image as it is: nothing can be read from it."""

    def remove(
        self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray], boxes: Sequence[Box]
    ) -> list[np.ndarray]:
        """Nothing."""
        del masks, boxes
        return list(images)


def judged(network: nn.Module) -> Judged:
    return Judged(network, class_list=CLASSES, classes=2)


def masks_of(labels: np.ndarray) -> Bool[np.ndarray, "n s s"]:
    masks = np.zeros((len(labels), SIDE, SIDE), np.bool_)
    masks[labels == 0, 6:26, 12:20] = True
    masks[labels == 1, 12:20, 6:26] = True
    return masks


def boxes_of(masks: np.ndarray) -> list[Box]:
    return [box for mask in masks if (box := mask_box(mask)) is not None]


def holes_by(remover: Remover, *, seed: int = 0, backgrounds: np.ndarray | None = None) -> Holes:
    masks = masks_of(LABELS)
    images = np.full((COUNT, SIDE, SIDE, 3), 128, np.uint8) if backgrounds is None else backgrounds
    return make_holes(images, masks, boxes_of(masks), IDS, LABELS, remover, classes=CLASSES, seed=seed)


def test_a_hole_that_shows_the_shape_leaks_all() -> None:
    found = hole_leak(judged(Shape()), holes_by(WhiteHoles()), **RUN)
    assert found["with_hole"] == 1.0
    assert found["without_hole"] == 0.5  # it says `tall` of all, as half of the photos are
    assert found["gap"] == 0.5
    assert found["interval"][0] > 0.25
    assert found["pairs"] == COUNT


@pytest.mark.parametrize("network", [Constant(0), Constant(1), Shape()])
def test_no_hole_leaks_nothing(network: nn.Module) -> None:
    assert hole_leak(judged(network), holes_by(NoHoles()), **RUN)["gap"] == 0.0


def test_a_constant_answer_leaks_nothing_whatever_the_hole() -> None:
    assert hole_leak(judged(Constant(1)), holes_by(WhiteHoles()), **RUN)["gap"] == 0.0


def test_the_partner_is_of_another_class_and_the_same_for_all_sources() -> None:
    numbered = np.repeat(np.arange(COUNT, dtype=np.uint8), SIDE * SIDE * 3).reshape(COUNT, SIDE, SIDE, 3)
    partners = [holes_by(remover, backgrounds=numbered).before[:, 0, 0, 0] for remover in (WhiteHoles(), NoHoles())]
    assert (partners[0] == partners[1]).all()
    assert (LABELS[partners[0]] != LABELS).all()
    assert (holes_by(NoHoles(), seed=1, backgrounds=numbered).before[:, 0, 0, 0] != partners[0]).any()


@pytest.mark.parametrize("remover", [Tiles(), Filled(OpenCvFiller("telea", 3.0), 2)])
def test_sources_change_nothing_outside_their_hole(remover: Tiles | Filled) -> None:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    holes = holes_by(remover, backgrounds=images)
    changed = (holes.before != holes.after).any(-1)
    assert changed.any(axis=(1, 2)).all()
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    for one, mask in zip(changed, masks_of(LABELS), strict=True):
        box = mask_box(mask)
        assert box is not None
        inside = np.zeros_like(mask)
        inside[box.y0 : box.y1, box.x0 : box.x1] = True
        allowed = inside if isinstance(remover, Tiles) else cv2.dilate(mask.view(np.uint8), around).astype(bool)
        assert not (one & ~allowed).any()


def test_a_hole_over_all_of_an_image_leaves_it() -> None:
    image = np.full((8, 8, 3), 7, np.uint8)
    whole, part = np.ones((8, 8), np.bool_), np.zeros((8, 8), np.bool_)
    part[2:4, 2:4] = True
    first, second = Filled(OpenCvFiller("telea", 3.0), 0).remove([image, image], [whole, part], [Box(0, 0, 8, 8)] * 2)
    assert (first == image).all()
    assert second.shape == image.shape


def test_tiles_leave_an_image_whose_box_is_all_of_it() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    mask = np.ones((8, 8), np.bool_)
    whole, part = Tiles().remove([image, image], [mask, mask], [Box(0, 0, 8, 8), Box(2, 0, 6, 8)])
    assert (whole == image).all()
    assert (part != image).any()


def judgement(correct: Sequence[bool], ids: Sequence[str]) -> Judgement:
    labels = np.zeros(len(correct), np.int64)
    predicted = np.where(np.array(correct), 0, 1)
    return Judgement(ids, labels, predicted, predicted, np.ones(len(correct), np.float32), CLASSES)


def test_accuracies_are_compared_on_the_photos_that_both_have() -> None:
    tiled = judgement([True, True, False, False], ["a", "b", "c", "d"])
    filled = judgement([False, True, False], ["b", "a", "d"])
    found = background_leak({"t": tiled, "f": filled}, "t")
    assert found["t"]["accuracy"]["correct"] == 2
    assert found["t"]["against"] is None
    assert found["f"]["accuracy"]["count"] == 3
    assert found["f"]["against"]["pairs"] == 3
    assert found["f"]["against"]["gap"] == pytest.approx(-1 / 3)


@dataclass(frozen=True)
class BoxSegmenter:
    """Finds what is brighter than grey inside the box."""

    name: str = "bright"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment."""
        answers = []
        for photo in photos:
            assert photo.box is not None
            inside = np.zeros(photo.image.shape[:2], np.bool_)
            inside[photo.box.y0 : photo.box.y1, photo.box.x0 : photo.box.x1] = True
            mask = (photo.image > 128).all(-1) & inside
            answers.append(Segmentation(mask if mask.any() else None, reason=None if mask.any() else "nothing"))
        return answers


def test_what_is_found_is_counted_over_the_object() -> None:
    masks = masks_of(LABELS)
    images = np.full((COUNT, SIDE, SIDE, 3), 100, np.uint8)
    images[masks] = 255
    images[0] = 100  # gone
    images[1, :, :16] = 100  # half of it gone
    photos = [
        Photo(photo, int(label), "", image, None) for photo, label, image in zip(IDS, LABELS, images, strict=True)
    ]
    found = find_objects(BoxSegmenter(), images, photos, boxes_of(masks), label="bright")
    score = found_share(found, masks)
    assert score["share"] == pytest.approx((COUNT - 1.5) / COUNT)
    assert score["anything_found"] == pytest.approx((COUNT - 1) / COUNT)
    assert score["interval"][0] < score["share"] < score["interval"][1]
    assert found_share([None] * COUNT, masks)["share"] == 0.0


def test_the_interval_of_a_mean_is_normal_for_many() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx((values.mean() - 0.0098, values.mean() + 0.0098), abs=0.002)


def write(folder: Path, encoded: Sequence[bytes]) -> ImageSet:
    rows = [
        Row(photo, "val", int(label), "", CLASSES.member_name(int(label), photo))
        for photo, label in zip(IDS, LABELS, strict=True)
    ]
    write_set(folder, list(zip(rows, encoded, strict=True)), classes=CLASSES)
    return ImageSet(folder)


def test_sets_are_opened_and_a_source_without_images_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sources: dict[str, ImageSource] = {
        name: write(tmp_path / name, [encode_png(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)) for _ in IDS])
        for name in ("original", "only_bg_t", "only_bg_f")
    }
    sources[FG_MASK] = write(tmp_path / FG_MASK, [encode_mask(mask) for mask in masks_of(LABELS)])
    removers = {"t": Tiles(), "f": Filled(OpenCvFiller("telea", 3.0), 2)}
    reading = {"split": "val", "workers": 1}
    leaks = open_leaks(sources, removers, per_class=5, seed=0, reading=reading)
    assert leaks.names == ("t", "f")
    assert leaks.looked is not None
    assert len(leaks.looked.photos.ids) == 10
    found = leaks.of_model(judged(Shape()), run=RUN, reading=reading)
    assert {name: each["accuracy"]["count"] for name, each in found.items()} == {"t": COUNT, "f": COUNT}
    assert found["f"]["holes"]["pairs"] == 10
    sources[background_set("f")].rows.clear()
    alone = open_leaks(sources, removers, per_class=5, seed=0, reading=reading)
    assert alone.names == ("t",)
    assert list(alone.of_model(judged(Shape()), run=RUN, reading=reading)) == ["t"]
