"""What of a backbone training moves, by mode: bit by bit; and the presets' rates, by their laws."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx
from torch import Tensor, nn

from models.classifiers.classifier import MEAN, STD, build_classifier
from models.transfer.backbones import Backbone, FeatureNetwork, PooledBackbone
from models.transfer.loading import load_backbone
from models.transfer.modes import MODES, Mode, trained_parameters
from models.transfer.presets import build_optimizer, count_steps, find_preset, rate_at
from models.transfer.settings import BackboneSettings

pytestmark = pytest.mark.usefixtures("one_thread")

TASKS = ("detection", "segmentation", "classification")


class Whole(nn.Module):
    """A backbone under a small head: one map's mean, or pooled features, to three numbers."""

    def __init__(self, backbone: FeatureNetwork) -> None:
        super().__init__()
        self.backbone = backbone
        width = backbone.width if isinstance(backbone, PooledBackbone) else max(backbone.channels.values())
        self.head = nn.Sequential(nn.Linear(width, 3), nn.BatchNorm1d(3))

    def forward(self, images: Tensor) -> Tensor:
        found = self.backbone(images)
        return self.head(found if isinstance(found, Tensor) else found[max(found)].mean((2, 3)))


def small_backbone() -> Backbone:
    network = build_classifier("resnet8", input_size=32, classes=9).network
    network.layer3.append(nn.Dropout2d(0.5))
    return Backbone(network, mean=MEAN, std=STD)


def small_pooled() -> PooledBackbone:
    network = build_classifier("resnet8", input_size=32, classes=9).network
    network.fc = nn.Dropout(0.5)
    return PooledBackbone(network, mean=MEAN, std=STD)


def copied(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in values.items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def train(whole: nn.Module, *, steps: int = 3) -> None:
    images = torch.rand(steps, 4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    optimizer = build_optimizer(whole, find_preset("classification"))
    for batch in images:
        whole.train()
        optimizer.zero_grad()
        whole(batch).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("build", [small_backbone, small_pooled])
@pytest.mark.parametrize("mode", MODES)
def test_what_training_moves(mode: Mode, build: Callable[[], FeatureNetwork]) -> None:
    whole = Whole(MODES[mode](build()))
    parameters, buffers = (dict(kind()) for kind in (whole.backbone.named_parameters, whole.backbone.named_buffers))
    before, measured, head = copied(parameters), copied(buffers), copied(dict(whole.head.named_parameters()))
    train(whole)
    changed, measured_anew = moved(before, parameters), moved(measured, buffers)
    statistics = {name for name in buffers if "running_" in name or "num_batches" in name}
    assert statistics
    assert changed == (set(before) if mode == "full_network" else set())
    assert measured_anew == (set() if mode == "fixed_feature" else statistics)
    assert moved(head, dict(whole.head.named_parameters()))


def test_a_fixed_feature_backbone_gives_the_same_in_training_and_evaluation() -> None:
    whole = Whole(MODES["fixed_feature"](small_backbone()))
    images = torch.rand(2, 3, 32, 32)
    whole.train()
    assert whole.head.training
    assert not any(module.training for module in whole.backbone.modules())
    first, second = whole.backbone(images), whole.backbone(images)
    whole.eval()
    for stride, found in whole.backbone(images).items():
        assert torch.equal(first[stride], second[stride])
        assert torch.equal(first[stride], found)


@pytest.mark.parametrize("mode", ["fixed_weights", "full_network"])
def test_the_other_modes_follow_the_whole(mode: Mode) -> None:
    backbone = MODES[mode](MODES["fixed_feature"](small_backbone()))
    whole = Whole(backbone)
    assert all(module.training for module in whole.train().backbone.modules())
    assert not any(module.training for module in whole.eval().backbone.modules())
    assert all(value.requires_grad == (mode == "full_network") for value in backbone.parameters())


@pytest.mark.parametrize("mode", MODES)
def test_the_optimizer_gets_what_is_trained_and_nothing_else(mode: Mode) -> None:
    whole = Whole(MODES[mode](small_backbone()))
    for swin in (False, True):
        groups = build_optimizer(whole, find_preset("segmentation", swin=swin)).param_groups
        given = [id(parameter) for group in groups for parameter in group["params"]]
        expected = [whole.head, whole] if mode == "full_network" else [whole.head]
        assert sorted(given) == sorted(map(id, expected[-1].parameters()))
    assert all(name.startswith("head.") for name in trained_parameters(whole)) == (mode != "full_network")


def test_a_real_swin_stays_bit_equal() -> None:
    backbone, _ = load_backbone(BackboneSettings(arch="swin_t", weights=None), runs=Path())
    whole = Whole(MODES["fixed_feature"](backbone))
    before = copied(backbone.state_dict())
    train(whole, steps=1)
    assert moved(before, backbone.state_dict()) == set()


def test_swins_norms_and_position_biases_do_not_decay() -> None:
    backbone, _ = load_backbone(BackboneSettings(arch="swin_t", weights=None), runs=Path())
    decayed, spared = build_optimizer(backbone, find_preset("detection", swin=True)).param_groups
    names = {id(parameter): name for name, parameter in backbone.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0)
    assert {names[id(parameter)] for parameter in spared["params"]} == {
        name for name in names.values() if "norm" in name or name.endswith("relative_position_bias_table")
    }


@pytest.mark.parametrize("swin", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_rates_rise_to_the_peak_and_never_rise_again(task: str, swin: bool) -> None:
    preset = find_preset(task, swin=swin)
    for steps in (1, 7, 300, 20_000):
        rates = [rate_at(preset, step, steps=steps) for step in range(steps)]
        peak = rates.index(max(rates))
        assert rates[: peak + 1] == sorted(rates[: peak + 1])
        assert rates[peak:] == sorted(rates[peak:], reverse=True)
        assert min(rates) > 0
        assert max(rates) <= preset.lr
        assert peak <= min(preset.warmup, steps // 10)


def test_rates_at_the_published_length() -> None:
    detection, steps = find_preset("detection"), 24 * 1000
    epochs = (1, 15, 16, 21, 22, 23)
    rates = [rate_at(detection, epoch * 1000, steps=steps) for epoch in epochs]
    assert rates == approx([0.04, 0.04, 0.004, 0.004, 0.0004, 0.0004])
    assert rate_at(detection, 249, steps=steps) == approx(0.04 * 250 / 501)
    cifar = find_preset("classification")
    assert [rate_at(cifar, epoch, steps=150) for epoch in (29, 30, 60, 90, 120, 149)] == approx(
        [0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6]
    )
    segmentation = find_preset("segmentation")
    assert rate_at(segmentation, 40_000, steps=80_000) == approx((0.01 - 1e-4) * 0.5**0.9 + 1e-4)
    assert rate_at(find_preset("segmentation", swin=True), 40_000, steps=80_000) == approx(3e-5)


@given(images=st.integers(1, 500), batch=st.integers(1, 64), epochs=st.integers(1, 9), steps=st.integers(1, 99))
def test_lengths(images: int, batch: int, epochs: int, steps: int) -> None:
    for task in TASKS:
        preset = find_preset(task)
        assert count_steps(preset, images, batch=batch, steps=steps) == steps
        assert count_steps(preset, images, batch=batch, epochs=epochs) == epochs * max(1, images // batch)
        own = {preset.unit: preset.length}
        assert count_steps(preset, images, batch=batch) == count_steps(preset, images, batch=batch, **own)
