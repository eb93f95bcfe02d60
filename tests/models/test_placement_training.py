"""Foregrounds that are moved, scaled and softened in training; without these, nothing is drawn for them."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from bgdata.classes import plain_class_list
from bgdata.compose.settings import PlacementSettings
from models.training.backgrounds import Looks, Replacement
from models.training.chances import fixed_chance
from models.training.choices import OtherPhotos
from models.training.data import Backgrounds, as_batch, at_rest
from models.training.parts import Drawn
from models.training.settings import BackgroundSettings

CLASSES = plain_class_list("two", ["a", "b"])
COUNT, SIDE = 8, 32
LABELS = np.arange(COUNT) % 2


def batch() -> Drawn:
    masks = np.zeros((COUNT, SIDE, SIDE), np.bool_)
    masks[:, 4:12, 6:14] = True
    images = np.where(masks[..., None], np.uint8(250), np.uint8(20)) * np.ones(3, np.uint8)
    labels = torch.from_numpy(LABELS)
    return Drawn(np.arange(COUNT), as_batch(images), torch.from_numpy(masks)[:, None], labels, labels.clone())


def replacement(looks: Looks | None = None) -> Replacement:
    pixels = np.full((COUNT, SIDE, SIDE, 3), 100, np.uint8)
    backgrounds = Backgrounds(pixels, LABELS, [str(n) for n in range(COUNT)], np.arange(COUNT), CLASSES)
    choose = OtherPhotos(backgrounds, "any_class", image_labels=LABELS)
    return Replacement(backgrounds, choose, fixed_chance(1.0, classes=CLASSES), looks)


def shown(looks: Looks | None, seed: int = 0) -> tuple[np.ndarray, np.ndarray, float]:
    """Images and masks that come out, and the next number of the generator."""
    generator = torch.Generator().manual_seed(seed)
    drawn = replacement(looks)(batch(), generator)
    assert drawn.masks is not None
    return at_rest(drawn.images), drawn.masks[:, 0].numpy(), float(torch.rand(1, generator=generator))


def test_without_looks_nothing_is_drawn_and_nothing_moves() -> None:
    images, masks, after = shown(None)
    same, _, after_too = shown(Looks())
    assert (images == same).all()
    assert after == after_too
    assert (masks == batch().masks[:, 0].numpy()).all()  # type: ignore[index]  # a batch with masks


def test_foregrounds_move_and_their_masks_with_them() -> None:
    images, masks, _ = shown(Looks(PlacementSettings(position="random", size=[0.5, 1.5])))
    assert (images[masks] == 250).all()
    assert (images[~masks] == 100).all()
    assert len({mask.tobytes() for mask in masks}) == COUNT
    again, _, _ = shown(Looks(PlacementSettings(position="random", size=[0.5, 1.5])))
    other, _, _ = shown(Looks(PlacementSettings(position="random", size=[0.5, 1.5])), seed=1)
    assert (images == again).all()
    assert (images != other).any()


def test_a_cell_is_where_all_go() -> None:
    _, masks, _ = shown(Looks(PlacementSettings(position="bottom_right", size=[1.0, 1.0])))
    assert (masks == masks[0]).all()
    assert masks[0, 23:31, 23:31].all()


def test_a_feather_blends_the_edge_and_leaves_the_mask() -> None:
    images, masks, _ = shown(Looks(feather=1.5))
    assert (masks == batch().masks[:, 0].numpy()).all()  # type: ignore[index]  # a batch with masks
    edge = (images > 100) & (images < 250)
    assert edge.any()
    assert images[:, 8, 10].max() > 240  # the middle of the foreground
    assert (images[:, 20:] == 100).all()


def test_a_soft_foreground_moves_too() -> None:
    images, masks, _ = shown(Looks(PlacementSettings(position="top_right", size=[1.0, 1.0]), feather=1.0))
    assert masks[0].sum() == pytest.approx(64, abs=6)
    assert masks[0, :12, 20:].any()
    assert (images[~masks] < 200).all()


@pytest.mark.parametrize("part", [{"feather": 1.0}, {"placement": {"position": "random", "size": [1, 1]}}])
def test_a_blurred_background_keeps_its_foreground(part: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="goes with other backgrounds, not with by: blur"):
        BackgroundSettings.model_validate({"by": "blur", "p": 0.5} | part)
