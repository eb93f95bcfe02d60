import pytest
import torch

from bgdata.compose.background_classes import UNKNOWN
from models.training.mixers import open_mixer
from models.training.parts import Batch
from models.training.settings import MixerSettings

COUNT, SIDE = 6, 16


def batch() -> Batch:
    """Image i is all i / 8, and of class i."""
    labels = torch.arange(COUNT)
    images = (labels / 8).view(-1, 1, 1, 1).expand(COUNT, 3, SIDE, SIDE).clone()
    masks = torch.zeros(COUNT, 1, SIDE, SIDE)
    return Batch(images, torch.eye(9)[:COUNT], labels, labels, masks=masks, twins=images)


def mixed(kind: str, seed: int) -> Batch:
    mix = open_mixer(MixerSettings(kind=kind, alpha=1.0))
    return mix(batch(), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(5))
def test_targets_sum_to_one_and_what_cannot_be_mixed_is_gone(kind: str, seed: int) -> None:
    found = mixed(kind, seed)
    assert torch.allclose(found.targets.sum(1), torch.ones(COUNT))
    assert torch.equal(found.labels, found.targets.argmax(1))
    assert (found.background_labels == UNKNOWN).all()
    assert found.masks is None
    assert found.twins is None


@pytest.mark.parametrize("seed", range(5))
def test_lambda_of_cutmix_is_the_area_that_is_kept(seed: int) -> None:
    found = mixed("cutmix", seed)
    kept = (found.images == batch().images).all(1).float().mean((1, 2))
    assert torch.allclose(found.targets.diagonal(), kept)
    partner = batch().images.roll(1, 0)
    assert ((found.images == batch().images) | (found.images == partner)).all()


@pytest.mark.parametrize("seed", range(5))
def test_lambda_of_mixup_is_the_weight_of_the_image(seed: int) -> None:
    found = mixed("mixup", seed)
    lam = found.targets.diagonal().view(-1, 1, 1, 1)
    assert torch.allclose(found.images, lam * batch().images + (1 - lam) * batch().images.roll(1, 0))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_only_the_generator_decides_and_the_global_one_stays(kind: str) -> None:
    state = torch.get_rng_state()
    first = mixed(kind, 1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert torch.equal(mixed(kind, 1).images, first.images)
    assert not torch.equal(mixed(kind, 2).images, first.images)
    torch.set_rng_state(state)


def test_the_batch_that_is_mixed_stays_and_none_is_none() -> None:
    given = batch()
    open_mixer(MixerSettings(kind="mixup", alpha=1.0))(given, torch.Generator().manual_seed(0))
    assert torch.equal(given.images, batch().images)
    assert torch.equal(given.targets, batch().targets)
    assert open_mixer(None) is None
