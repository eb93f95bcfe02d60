"""Checkpoints of robust ResNet-50s in their published forms: the same network from each, and nothing that is not it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from bgdata.errors import InputError
from models.classifiers.backbones import take_off_head
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD
from models.transfer.loading import load_backbone, load_pooled
from models.transfer.published import FORMS, load_published
from models.transfer.settings import BackboneSettings
from models.weights.states import read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

State = dict[str, Tensor]
IMAGES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
HALF, FOURTH = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    network = torchvision.models.resnet50(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return network.eval()


def ant(state: State) -> Any:
    return {"model_state_dict": state, "epoch": 40, "optimizer_state_dict": {"state": {}, "param_groups": []}}


def deepaugment_augmix(state: State) -> Any:
    wrapped = {f"module.{name}": value for name, value in state.items()}
    return {"epoch": 29, "model": "resnet50", "state_dict": wrapped, "best_acc1": torch.tensor(0.7), "optimizer": {}}


def adversarial(state: State) -> Any:
    whole: State = {}
    for place in ("normalizer", "attacker.normalize"):
        whole[f"module.{place}.new_mean"] = torch.tensor(HALF).view(3, 1, 1)
        whole[f"module.{place}.new_std"] = torch.tensor(FOURTH).view(3, 1, 1)
    for place in ("model", "attacker.model"):
        whole |= {f"module.{place}.{name}": value for name, value in state.items()}
    return {"model": whole, "optimizer": {}, "schedule": None, "epoch": 90, "amp": None}


WRITERS: dict[str, Callable[[State], Any]] = {
    "ant": ant,
    "deepaugment_augmix": deepaugment_augmix,
    "adversarial": adversarial,
}


def settings(kind: str, path: Path) -> BackboneSettings:
    return BackboneSettings.model_validate({"published": kind, "file": str(path)})


def small() -> nn.Module:
    """What is refused is refused by any network's names, and this one is quickly written."""
    return build_classifier("resnet8", input_size=64, classes=9).network


def refused(kind: str, content: Any, path: Path) -> str:
    torch.save(content, path)
    with pytest.raises(InputError) as error:
        load_published(take_off_head(small()), kind, path)
    return str(error.value)


def test_every_form_has_a_writer() -> None:
    assert WRITERS.keys() == FORMS.keys()


@pytest.mark.parametrize("kind", WRITERS)
def test_a_checkpoint_in_its_form_is_the_network(kind: str, network: nn.Module, tmp_path: Path) -> None:
    torch.save(WRITERS[kind](dict(network.state_dict())), tmp_path / "robust.pth.tar")
    backbone, record = load_backbone(settings(kind, tmp_path / "robust.pth.tar"), runs=tmp_path)
    expected = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    found = {name.removeprefix("network."): value for name, value in backbone.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (record["published"], record["arch"]) == (kind, "torchvision:resnet50")
    mean, std = (HALF, FOURTH) if kind == "adversarial" else (IMAGENET_MEAN, IMAGENET_STD)
    assert torch.allclose(backbone.mean.flatten(), torch.tensor(mean))
    assert torch.allclose(backbone.std.flatten(), torch.tensor(std))
    # The reader of any form finds the same weights.
    general = read_weights(tmp_path / "robust.pth.tar", network).state
    assert all(torch.equal(general[name], expected[name]) for name in expected)


@pytest.mark.parametrize("key", FORMS["ant"].keys)
def test_ants_state_dict_lies_under_any_of_its_keys(key: str, network: nn.Module, tmp_path: Path) -> None:
    torch.save({key: network.state_dict()}, tmp_path / "ant.pth")
    backbone, _ = load_backbone(settings("ant", tmp_path / "ant.pth"), runs=tmp_path)
    assert torch.equal(backbone.network.layer4[2].conv3.weight, network.layer4[2].conv3.weight)


def test_a_head_of_any_width_or_none_is_dropped(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    torch.save(ant(state), tmp_path / "none.pth")
    torch.save(ant(state | {"fc.weight": torch.zeros(10, 2048), "fc.bias": torch.zeros(10)}), tmp_path / "ten.pth")
    features = []
    for name in ("none.pth", "ten.pth"):
        pooled, _ = load_pooled(settings("ant", tmp_path / name), runs=tmp_path, size=64)
        with torch.no_grad():
            features.append(pooled(IMAGES))
    assert features[0].shape == (1, 2048)
    assert torch.equal(*features)


@pytest.mark.parametrize("kind", WRITERS)
def test_missing_and_unexpected_keys_are_named(kind: str, tmp_path: Path) -> None:
    state = dict(small().state_dict())
    state["layer1.0.extra.weight"] = state.pop("layer1.0.conv1.weight")
    said = refused(kind, WRITERS[kind](state), tmp_path / "robust.pth")
    assert f"(read as {FORMS[kind].title}) do not fit the network" in said
    assert "missing: layer1.0.conv1.weight; unexpected: layer1.0.extra.weight" in said


def test_another_size_is_refused_by_its_keys(tmp_path: Path) -> None:
    torch.save(ant(dict(torchvision.models.resnet18(weights=None).state_dict())), tmp_path / "small.pth")
    with pytest.raises(InputError) as error:
        load_backbone(settings("ant", tmp_path / "small.pth"), runs=tmp_path)
    said = str(error.value)
    assert "missing: layer1.0.bn3.bias" in said
    assert "wrong shape: layer1.0.conv1.weight 64x64x3x3, expected 64x64x1x1" in said


def test_one_form_is_not_taken_for_another(tmp_path: Path) -> None:
    state, path = dict(small().state_dict()), tmp_path / "robust.pth"
    said = refused("ant", deepaugment_augmix(state), path)
    assert "missing: bn1.bias" in said
    assert "unexpected: module.bn1.bias" in said
    said = refused("ant", adversarial(state), path)
    assert "missing: bn1.bias" in said
    assert "unexpected: module.attacker.model.bn1.bias" in said
    for content in (ant(state), adversarial(state)):
        said = refused("deepaugment_augmix", content, path)
        assert (
            "is no checkpoint of DeepAugment + AugMix: expected a state dict under state_dict, it holds model" in said
        )
        assert "give it as {arch: resnet50, weights: FILE}, which takes any form" in said
    assert "unexpected: module.bn1.bias" in refused("adversarial", deepaugment_augmix(state), path)
    assert "expected a state dict under model or state_dict" in refused("adversarial", ant(state), path)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "robust.pth"
    assert "expected a state dict under model_state_dict or" in refused("ant", [torch.zeros(2)], path)
    assert "it is a list" in refused("ant", [torch.zeros(2)], path)
    assert "epoch of its state dict is no tensor" in refused("ant", {"model": {"epoch": 3}}, path)
    state = dict(small().state_dict())
    broken = state | {"conv1.weight": torch.full_like(state["conv1.weight"], torch.nan)}
    assert "conv1.weight hold values that are not finite" in refused("ant", ant(broken), path)
    grey = adversarial(state)
    grey["model"]["module.normalizer.new_mean"] = torch.zeros(1)
    assert "normalises 1 channels, expected 3 (RGB)" in refused("adversarial", grey, path)


def test_a_file_that_could_run_code_or_is_missing_is_refused(tmp_path: Path) -> None:
    assert "which could run code when loaded" in refused("ant", {"model": nn.Linear(2, 2)}, tmp_path / "code.pth")
    with pytest.raises(InputError, match=r"gone\.pth is missing"):
        load_backbone(settings("ant", tmp_path / "gone.pth"), runs=tmp_path)
