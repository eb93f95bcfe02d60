"""PRIME and AugMix as parts of recipes: what becomes of a batch, of the loss and of a training."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.training.augmentations import open_augment
from models.training.batches import epoch_batches
from models.training.consistency import Agreement, jensen_shannon
from models.training.objectives import build_objective
from models.training.parts import Batch
from models.training.recipes import open_recipe
from models.training.run import Stored
from models.training.settings import AugmentSettings
from tests.models.test_augment_settings import AUGMIX, CONSISTENCY, PENALTY, PRIME
from tests.models.test_objectives import (
    SETTINGS,
    Killed,
    assert_same,
    die_after_saving,
    make_batch,
    named,
    small_network,
    trained,
)

KINDS = {"augmix": AUGMIX, "prime": PRIME}
JSD = {"jsd": 12.0}
CPU = torch.device("cpu")


def augmented(settings: dict[str, Any], batch: Batch, seed: int = 0) -> Batch:
    augment = open_augment(AugmentSettings.model_validate(settings))
    return augment(batch, torch.Generator().manual_seed(seed))


def same_but(first: Batch, second: Batch, *names: str) -> bool:
    fields = [field.name for field in dataclasses.fields(Batch) if field.name not in names]
    return all(getattr(first, name) is getattr(second, name) for name in fields)


@pytest.mark.parametrize("kind", KINDS)
def test_augmented_images_have_neither_masks_nor_twins(kind: str) -> None:
    batch = make_batch()
    found = augmented(KINDS[kind], batch)
    assert not torch.equal(found.images, batch.images)
    assert found.masks is found.twins is found.views is None
    assert same_but(found, batch, "images", "masks", "twins")
    assert torch.equal(batch.images, make_batch().images)


@pytest.mark.parametrize("kind", KINDS)
def test_with_jsd_images_stay_and_have_two_views(kind: str) -> None:
    batch = make_batch()
    found = augmented(KINDS[kind] | JSD, batch)
    assert same_but(found, batch, "views")
    assert found.views.shape == (6, 2, 3, 8, 8)
    assert torch.equal(found.views[:, 0], augmented(KINDS[kind], batch).images)
    assert not torch.equal(found.views[:, 0], found.views[:, 1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jsd", [{}, JSD])
def test_the_same_seed_gives_the_same_batch(kind: str, jsd: dict[str, float]) -> None:
    settings, name = KINDS[kind] | jsd, "views" if jsd else "images"
    first, again, other = (getattr(augmented(settings, make_batch(), seed), name) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_none_is_none() -> None:
    assert open_augment(None) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", KINDS)
def test_the_choices_are_the_same_on_cuda(kind: str) -> None:
    images = torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    batch = dataclasses.replace(make_batch(), images=images, masks=None, twins=None)
    there = dataclasses.replace(batch, images=images.cuda())
    apart = (augmented(KINDS[kind], there).images.cpu() - augmented(KINDS[kind], batch).images).abs()
    assert apart.mean() < 1e-3  # a rounding to another grey level moves a posterised or solarised pixel


def batches(sets: Path, folder: Path, **parts: Any) -> list[Batch]:
    recipe = open_recipe(named(**parts), SETTINGS, Stored(sets, folder, 1), seed=3)
    return [batch for _, _, batch in epoch_batches(recipe, SETTINGS, 0, 3, device=CPU)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_rest_of_a_batch_is_drawn_as_without(sets: Path, tmp_path: Path, kind: str) -> None:
    """Crops, colours, backgrounds and mixtures are those of the recipe without the augmentation."""
    parts = {"background": {"by": "any_class", "p": 0.5}, "mixer": {"kind": "mixup", "alpha": 1.0}}
    plain = batches(sets, tmp_path, **parts)
    for one, other in zip(plain, batches(sets, tmp_path, augment=KINDS[kind] | JSD, **parts), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets, other.targets)
        assert other.views is not None
    for one, other in zip(plain, batches(sets, tmp_path, augment=KINDS[kind], **parts), strict=True):
        assert not torch.equal(one.images, other.images)
        assert torch.equal(one.targets, other.targets)


@pytest.mark.parametrize("part", [PENALTY, CONSISTENCY])
def test_masks_and_twins_fit_images_that_stay(sets: Path, tmp_path: Path, part: dict[str, Any]) -> None:
    plain = batches(sets, tmp_path, **part)
    for one, other in zip(plain, batches(sets, tmp_path, augment=AUGMIX | JSD, **part), strict=True):
        for name in ("images", "masks", "twins"):
            first, second = getattr(one, name), getattr(other, name)
            assert (first is second is None) or torch.equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jsd", [{}, JSD])
def test_it_trains_and_a_killed_run_ends_in_the_same_weights(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, jsd: dict[str, float]
) -> None:
    parts = {"augment": KINDS[kind] | jsd}
    unbroken, _ = trained(tmp_path / "unbroken", sets, parts)
    assert all(torch.isfinite(value).all() for value in unbroken.values())
    die_after_saving(monkeypatch, 1)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", sets, parts)
    assert_same(unbroken, trained(tmp_path / "killed", sets, parts)[0])


def test_the_objective_has_the_divergence_where_it_is_asked_for() -> None:
    network, batch = small_network(), dataclasses.replace(make_batch(), views=torch.rand(6, 2, 3, 8, 8))
    plain, same, agreeing = (
        build_objective(named(**parts), SETTINGS, classes=9)
        for parts in ({}, {"augment": PRIME}, {"augment": PRIME | JSD})
    )
    assert len(plain.penalties) == len(same.penalties) == 0
    loss = plain(network, batch) + Agreement(weight=12.0)(network, network(batch.images), batch)
    assert torch.allclose(agreeing(network, batch), loss)


def agreement(batch: Batch, weight: float = 1.0) -> Tensor:
    network = small_network()
    return Agreement(weight=weight)(network, network(batch.images), batch).detach()


def test_equal_views_agree_and_their_order_is_nothing() -> None:
    batch = make_batch()
    same = dataclasses.replace(batch, views=batch.images[:, None].expand(-1, 2, -1, -1, -1))
    other = dataclasses.replace(batch, views=torch.stack((batch.images, batch.twins), 1))
    assert float(agreement(same)) == pytest.approx(0, abs=1e-6)
    assert agreement(other) > 1e-4
    assert torch.allclose(agreement(other), agreement(dataclasses.replace(batch, views=other.views.flip(1))))
    assert torch.allclose(agreement(other, 12.0), 12 * agreement(other))


def test_the_divergence_is_that_of_the_paper() -> None:
    """The mean of the Kullback-Leibler divergences of the three predictions from their mean."""
    logits = torch.randn(5, 3, 9, generator=torch.Generator().manual_seed(0))
    shares = logits.softmax(2)
    middle = shares.mean(1).log()
    expected = sum((share * (share.log() - middle)).sum(1) for share in shares.unbind(1)) / 3
    assert torch.allclose(jensen_shannon(logits), expected, atol=1e-6)


def test_the_divergence_is_at_most_the_logarithm_of_the_views() -> None:
    sure = torch.eye(3)[None] * 100
    assert float(jensen_shannon(sure)) == pytest.approx(float(torch.tensor(3.0).log()))
