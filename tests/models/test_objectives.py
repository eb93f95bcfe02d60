"""Objectives as recipes name them, and laws of the consistency penalty."""

import dataclasses
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.classifiers.classifier import Classifier
from models.training import settings
from models.training.consistency import Consistency, symmetric_divergence
from models.training.groups import GroupDRO
from models.training.loop import fit
from models.training.losses import BaseLoss
from models.training.objectives import Objective, build_objective
from models.training.parts import Batch
from models.training.penalties import GradientPenalty
from models.training.recipes import open_recipe
from models.training.run import Run, Stored
from tests.models.test_training import SETTINGS as PLAIN
from tests.models.test_training import Killed, die_after_saving

SETTINGS = PLAIN.model_copy(update={"size": 16, "epochs": 2, "batch_size": 12})
PARTS: dict[str, dict[str, Any]] = {
    "absolute": {"penalty": {"kind": "absolute", "weight": 10.0}},
    "proportional": {"penalty": {"kind": "proportional", "weight": 0.1}},
    "smoothed": {"penalty": {"kind": "smoothed", "weight": 10.0, "copies": 2, "noise": 0.1}},
    "consistency": {"consistency": {"weight": 1.0, "gamma": 2.0}},
    "group_dro": {"group_dro": {"step": 0.1}},
}
PARTS["all"] = PARTS["smoothed"] | PARTS["consistency"] | PARTS["group_dro"]


def named(**parts: Any) -> settings.RecipeSettings:
    return settings.RecipeSettings.model_validate({"start": "init", "data": "original"} | parts)


def make_batch(*, classes: int = 9, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (6,), generator=generator)
    images, twins = torch.rand(2, 6, 3, 8, 8, generator=generator)
    masks = torch.zeros(6, 1, 8, 8)
    masks[..., 4:] = 1
    return Batch(images, torch.eye(classes)[labels], labels, labels, masks=masks, twins=twins)


def small_network(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(144, 9))


def small_classifier() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = {"conv": nn.Conv2d(3, 4, 3, stride=2), "norm": nn.BatchNorm2d(4), "relu": nn.ReLU(inplace=True)}
        head = {"flat": nn.Flatten(), "drop": nn.Dropout(0.2), "fc": nn.Linear(196, 9)}
        return Classifier(nn.Sequential(OrderedDict(layers | head)), arch="small", classes=9, input_size=SETTINGS.size)


class Attentive(nn.Module):
    """One layer of attention over pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.embed, self.read = nn.Linear(3, 8), nn.Linear(8, 9)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embed(images.flatten(2).mT)
        return self.read(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


def consistency_of(network: nn.Module, batch: Batch, *, gamma: float, weight: float = 1.0) -> Tensor:
    return Consistency(weight=weight, gamma=gamma)(network, network(batch.images), batch)


def trained(folder: Path, sets: Path, parts: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(weights, what the parts remember)"""
    recipe = open_recipe(named(**parts), SETTINGS, Stored(sets, folder.parent / "pixels", 1), seed=3)
    folder.mkdir(exist_ok=True)
    classifier = small_classifier()
    history = fit(
        classifier,
        recipe,
        SETTINGS,
        Run(3, torch.device("cpu"), torch.float32, folder),
        validation=(recipe.data.pixels[:6], recipe.data.labels[:6]),
        label="test",
    )
    assert len(history) == 2
    return classifier.state_dict(), recipe.parts.state_dict()


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_a_recipe_without_parts_minimises_the_cross_entropy() -> None:
    network, batch = small_network(), make_batch()
    expected = nn.functional.cross_entropy(network(batch.images), batch.labels, label_smoothing=0.1)
    assert torch.allclose(build_objective(named(), SETTINGS, classes=9)(network, batch), expected)
    assert not batch.images.requires_grad


@pytest.mark.parametrize("name", PARTS)
def test_a_recipe_has_the_parts_that_it_names(name: str) -> None:
    objective = build_objective(named(**PARTS[name]), SETTINGS, classes=9)
    assert isinstance(objective.base, GroupDRO) == ("group_dro" in PARTS[name])
    assert objective.base.label_smoothing == SETTINGS.label_smoothing
    assert len(objective.penalties) == len(PARTS[name].keys() - {"group_dro"})


def test_penalties_add_up() -> None:
    network, batch, base = small_network(), make_batch(), BaseLoss(label_smoothing=0.0)
    penalties = GradientPenalty(weight=5.0), Consistency(weight=2.0, gamma=1.0)
    plain = Objective(base)(network, batch)
    apart = [Objective(base, [penalty])(network, batch) - plain for penalty in penalties]
    assert torch.allclose(Objective(base, penalties)(network, batch), plain + apart[0] + apart[1])


@pytest.mark.parametrize("name", PARTS)
def test_each_trains_and_a_killed_run_ends_in_the_same_weights(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    unbroken = trained(tmp_path / "unbroken", sets, PARTS[name])
    start = small_classifier().state_dict()
    assert all(torch.isfinite(value).all() for value in unbroken[0].values())
    assert not torch.equal(unbroken[0]["network.fc.weight"], start["network.fc.weight"])
    die_after_saving(monkeypatch, 1)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", sets, PARTS[name])
    resumed = trained(tmp_path / "killed", sets, PARTS[name])
    assert_same(unbroken[0], resumed[0])
    assert_same(unbroken[1], resumed[1])


def gradients_of(objective: Objective, network: Any, weights: list[nn.Parameter]) -> list[Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return list(torch.autograd.grad(objective(network, make_batch()), weights))


@pytest.mark.parametrize("name", ["smoothed", "all"])
def test_compiled_networks_pass_through(name: str) -> None:
    network = small_network()
    compiled = torch.compile(network, backend="aot_eager")
    plain, same = (
        gradients_of(build_objective(named(**PARTS[name]), SETTINGS, classes=9), each, list(network.parameters()))
        for each in (network, compiled)
    )
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(plain, same, strict=True))


def test_networks_with_attention_are_differentiated_twice() -> None:
    network = Attentive()
    found = gradients_of(
        build_objective(named(**PARTS["absolute"]), SETTINGS, classes=9), network, list(network.parameters())
    )
    assert all(gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_equal_twins_are_consistent(gamma: float) -> None:
    batch, network = make_batch(), small_network()
    assert consistency_of(network, batch, gamma=gamma) > 0
    assert consistency_of(network, dataclasses.replace(batch, twins=batch.images), gamma=gamma) == 0


def test_gamma_0_is_plain_consistency_and_symmetric() -> None:
    batch, network = make_batch(), small_network()
    assert batch.twins is not None
    one, other = network(batch.images), network(batch.twins)
    divergence = nn.functional.kl_div
    pair = [values.log_softmax(1) for values in (one, other)]
    expected = sum(divergence(*order, reduction="batchmean", log_target=True) for order in (pair, pair[::-1])) / 2
    swapped = dataclasses.replace(batch, images=batch.twins, twins=batch.images)
    assert torch.allclose(consistency_of(network, batch, gamma=0.0), expected)
    assert torch.allclose(consistency_of(network, swapped, gamma=0.0), expected)
    assert torch.allclose(consistency_of(network, batch, gamma=0.0, weight=3.0), 3 * expected)


def test_photos_that_are_sure_and_right_count_less() -> None:
    classes = torch.tensor([0, 0])
    batch = Batch(torch.zeros(2, 3, 2, 2), torch.eye(3)[classes], classes, classes, twins=torch.zeros(2, 3, 2, 2))
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0]])  # sure and right, sure and wrong

    def penalty(gamma: float, *, right: float, wrong: float) -> float:
        """1: the twin of that photo looks like any class, 0: like the photo."""
        twins = torch.stack([logits[0] * (1 - right), logits[1] * (1 - wrong)])
        return float(Consistency(weight=1.0, gamma=gamma)(lambda _: twins, logits, batch))

    assert penalty(0.0, right=1, wrong=0) == pytest.approx(penalty(0.0, right=0, wrong=1))
    assert penalty(2.0, right=1, wrong=0) < 1e-4 * penalty(0.0, right=1, wrong=0)
    assert penalty(2.0, right=0, wrong=1) == pytest.approx(penalty(0.0, right=0, wrong=1), rel=1e-3)


def test_no_gradient_flows_through_the_focal_factor() -> None:
    logits = torch.randn(6, 9, requires_grad=True)
    batch = make_batch()
    loss = Consistency(weight=1.0, gamma=2.0)(lambda _: torch.zeros(6, 9), logits, batch)
    factors = (1 - logits.detach().softmax(1)[torch.arange(6), batch.labels]) ** 2
    expected = (factors * symmetric_divergence(logits, torch.zeros(6, 9))).mean()
    assert torch.allclose(*(torch.autograd.grad(value, logits)[0] for value in (loss, expected)))
