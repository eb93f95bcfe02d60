"""Heads: one function knows what the head is, and all who train, load or drop it ask that one."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from bgdata.errors import InputError
from bgdata.labels import IN9
from models.classifiers.backbones import load_backbone
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.classifiers.classifier import Classifier, build_classifier
from models.classifiers.folding import fold_batch_norms
from models.classifiers.heads import find_head, head_keys, replace_head
from models.classifiers.loading import ModelSource, load_judged
from models.training.norms import set_training
from models.training.optimizers import build_optimizer, set_rate
from models.training.settings import HeadSettings, RecipeSettings
from models.training.tuning import prepare_classifier
from tests.models.test_training import SETTINGS

MLP = HeadSettings(kind="mlp", hidden=16, dropout=0.5)
LINEAR = HeadSettings(kind="linear")
IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def prepared(**settings) -> Classifier:
    classifier = build_classifier("resnet10", input_size=32, seed=1, classes=9)
    prepare_classifier(classifier, RecipeSettings(start="init", data="original", **settings), seed=2)
    return classifier.eval()


def saved_mlp(folder: Path) -> tuple[Path, Classifier]:
    classifier = prepared(head=MLP)
    save_classifier(folder / "model.pt", classifier, {"recipe": {"name": "mlp"}, "seed": 0})
    return folder / "model.pt", classifier


@pytest.mark.parametrize(
    ("arch", "head"),
    [
        ("resnet18", "fc"),
        ("vgg11", "classifier.6"),
        ("mobilenet_v3_small", "classifier.3"),
        ("swin_t", "head"),
        ("squeezenet1_1", "classifier.1"),
    ],
)
def test_the_head_is_the_last_layer(arch: str, head: str) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model(arch, weights=None, num_classes=9)
    assert find_head(network) == head
    assert head_keys(network) == {f"{head}.weight", f"{head}.bias"}


def test_an_mlp_is_the_head_as_a_whole() -> None:
    with torch.device("meta"):
        network = torchvision.models.resnet50(num_classes=9)
        replace_head(network, {"kind": "mlp", "hidden": 512, "dropout": 0.5}, classes=9)
    assert head_keys(network) == {"fc.0.weight", "fc.0.bias", "fc.3.weight", "fc.3.bias"}
    assert [type(layer) for layer in network.fc] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert [tuple(network.fc[place].weight.shape) for place in (0, 3)] == [(512, 2048), (9, 512)]


def test_a_second_head_takes_the_place_of_the_first() -> None:
    classifier = prepared(head=MLP)
    classifier.replace_head({"kind": "linear"})
    assert isinstance(classifier.network.fc, nn.Linear)
    assert classifier.network.fc.weight.shape == (9, 512)


def test_the_seed_draws_the_head() -> None:
    before = torch.get_rng_state()
    first, again = prepared(head=LINEAR), prepared(head=LINEAR)
    assert torch.equal(first.network.fc.weight, again.network.fc.weight)
    assert not torch.equal(
        first.network.fc.weight, build_classifier("resnet10", input_size=32, seed=1, classes=9).network.fc.weight
    )
    assert torch.equal(before, torch.get_rng_state())


def test_networks_without_a_linear_head_are_refused() -> None:
    with pytest.raises(InputError, match="SqueezeNet has no linear head that could be replaced: leave out head"):
        replace_head(torchvision.models.squeezenet1_1(weights=None), {"kind": "linear"}, classes=9)


@pytest.mark.parametrize("head", [None, LINEAR, MLP])
def test_only_the_head_is_trained_and_batch_statistics_stay(head: HeadSettings | None) -> None:
    classifier = prepared(head=head, tuned="head")
    trained = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    assert trained == classifier.head_names
    assert len(trained) == (4 if head is MLP else 2)
    before = {name: buffer.clone() for name, buffer in classifier.named_buffers()}
    set_training(classifier)
    classifier(IMAGES)
    assert all(torch.equal(buffer, before[name]) for name, buffer in classifier.named_buffers())


def test_the_backbone_has_a_rate_of_its_own() -> None:
    classifier = prepared(head=MLP)
    optimizer = build_optimizer(classifier, SETTINGS, backbone_lr=0.1)
    set_rate(optimizer, 0.5)
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    for name, parameter in classifier.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.5 if name.startswith("network.fc.") else 0.05), name


def test_a_recipe_that_names_no_head_keeps_that_of_its_start(tmp_path: Path) -> None:
    path, expected = saved_mlp(tmp_path)
    before = torch.get_rng_state()
    started, _ = load_classifier(path)
    assert torch.equal(before, torch.get_rng_state())
    prepare_classifier(started, RecipeSettings(start="mlp", data="original"), seed=5)
    assert torch.equal(started(IMAGES), expected(IMAGES))
    save_classifier(tmp_path / "next.pt", started, {"recipe": {"name": "next"}, "seed": 0})
    assert torch.equal(load_classifier(tmp_path / "next.pt")[0](IMAGES), expected(IMAGES))


def test_the_judges_take_an_mlp(tmp_path: Path) -> None:
    path, expected = saved_mlp(tmp_path)
    judged, _ = load_judged(ModelSource(class_list=IN9, checkpoint=path, in9=True))
    with torch.no_grad():
        assert torch.allclose(judged(IMAGES), expected(IMAGES), atol=1e-6)
        folded = fold_batch_norms(judged.network)
        assert folded is not None
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
        assert torch.allclose(folded(judged.prepare(IMAGES)), expected(IMAGES), atol=1e-4)


def test_a_probe_takes_the_whole_mlp_off(tmp_path: Path) -> None:
    path, expected = saved_mlp(tmp_path)
    backbone, _ = load_backbone(ModelSource(class_list=IN9, checkpoint=path))
    with torch.no_grad():
        features = backbone.network(backbone.prepare(IMAGES))
        assert features.shape == (4, 512)
        assert torch.allclose(expected.network.fc(features), expected(IMAGES), atol=1e-6)
