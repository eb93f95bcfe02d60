import dataclasses

import numpy as np
import pytest
import torch

from bgdata.compose.background_classes import UNKNOWN
from bgdata.errors import InputError
from models.training.data import TrainingData
from models.training.orders import balanced, shuffled

LABELS = np.array([0] * 90 + [1] * 10)
BACKGROUNDS = np.array([0] * 80 + [1] * 10 + [1] * 9 + [0])


def data() -> TrainingData:
    return TrainingData(np.zeros((100, 2, 2, 3), np.uint8), torch.eye(9)[LABELS], BACKGROUNDS)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_shuffled_epoch_shows_each_image_once() -> None:
    order = shuffled(data())(generator())
    assert sorted(order) == list(range(100))
    assert (order == shuffled(data())(generator())).all()


def test_a_balanced_epoch_shows_each_group_equally_often() -> None:
    draw, draws = balanced(data()), generator()
    order = np.concatenate([draw(draws) for _ in range(200)])
    assert len(order) == 20_000
    for label in (0, 1):
        for background in (0, 1):
            group = (LABELS[order] == label) & (BACKGROUNDS[order] == background)
            assert abs(group.mean() - 0.25) < 0.015
    assert set(order) == set(range(100))


def test_groups_of_mixed_images_are_a_sentence() -> None:
    mixed = dataclasses.replace(data(), background_labels=np.full(100, UNKNOWN))
    with pytest.raises(InputError, match="balance: groups needs images whose backgrounds are of a known class"):
        balanced(mixed)
