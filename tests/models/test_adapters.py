"""Adapters: nothing at first, few parameters, and gone once they are merged."""

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from bgdata.errors import InputError
from models.adapters.layers import find_layers
from models.adapters.lora import add_lora, merge_lora
from models.adapters.oft import Rotation, add_oft, merge_oft
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.classifiers.classifier import Classifier, build_classifier
from models.training.norms import set_training
from models.training.optimizers import build_optimizer
from models.training.run import Run, Stored
from models.training.settings import AdapterSettings, HeadSettings, NamedRecipe, RecipeSettings
from models.training.train import train_recipe
from models.training.tuning import count_parameters, merge_adapters, prepare_classifier
from tests.models.test_training import CPU, SETTINGS, Killed, assert_same, die_after_saving, fit_classifier, opened

LORA = AdapterSettings(kind="lora", layers=[r"layer4\.\d\.conv2"], rank=4, alpha=1)
OFT = AdapterSettings(kind="oft", layers=[r"layer2\.\d\.(conv\d|downsample\.0)"], block=8)
KINDS = pytest.mark.parametrize("adapter", [LORA, OFT], ids=["lora", "oft"])
SHORT = SETTINGS.model_copy(update={"epochs": 2})
IMAGES = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def recipe(adapter: AdapterSettings | None = None, **settings: Any) -> RecipeSettings:
    return RecipeSettings(start="init", data="mixed_rand", adapter=adapter, **settings)


def prepared(adapter: AdapterSettings, arch: str = "resnet10") -> Classifier:
    classifier = build_classifier(arch, input_size=32, classes=9, seed=1)
    prepare_classifier(classifier, recipe(adapter), seed=2)
    return classifier.eval()


def take_steps(classifier: Classifier, count: int = 3) -> None:
    optimizer = build_optimizer(classifier, SETTINGS.model_copy(update={"lr": 0.1}), backbone_lr=1.0)
    set_training(classifier)
    for _ in range(count):
        optimizer.zero_grad()
        F.cross_entropy(classifier(IMAGES), torch.arange(4)).backward()
        optimizer.step()
    classifier.eval()


def disturb(classifier: Classifier) -> Classifier:
    """Give the adapters, and nothing else, weights that matter."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in classifier.named_parameters():
        if parameter.requires_grad and name not in classifier.head_names:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    return classifier


def filters(layer: nn.Module) -> Tensor:
    return layer.weight.detach().flatten(1).double()


@KINDS
def test_at_first_an_adapter_changes_nothing(adapter: AdapterSettings) -> None:
    base = build_classifier("resnet10", input_size=32, classes=9, seed=1).eval()
    assert torch.equal(prepared(adapter)(IMAGES), base(IMAGES))


@KINDS
def test_merged_is_unmerged_in_plain_layers(adapter: AdapterSettings) -> None:
    base = build_classifier("resnet10", input_size=32, classes=9, seed=1).eval()
    classifier = disturb(prepared(adapter))
    with torch.no_grad():
        unmerged = classifier(IMAGES)
        merge_adapters(classifier)
        assert torch.allclose(classifier(IMAGES), unmerged, atol=1e-5)
        assert not torch.allclose(base(IMAGES), unmerged, atol=1e-2)
    assert classifier.state_dict().keys() == base.state_dict().keys()
    assert [type(module) for module in classifier.modules()] == [type(module) for module in base.modules()]


@KINDS
def test_training_moves_the_adapters_and_the_head_alone(adapter: AdapterSettings) -> None:
    classifier = prepared(adapter)
    before = copy.deepcopy(classifier.state_dict())
    take_steps(classifier)
    after = classifier.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    trained = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    assert moved == trained  # batch statistics, too, stay
    assert classifier.head_names <= trained


@KINDS
def test_copies_and_state_dicts_hold_the_whole(adapter: AdapterSettings) -> None:
    classifier = disturb(prepared(adapter))
    with torch.no_grad():
        expected = classifier(IMAGES)
        assert torch.equal(copy.deepcopy(classifier)(IMAGES), expected)
        other = prepared(adapter)
        other.load_state_dict(classifier.state_dict())
        assert torch.equal(other(IMAGES), expected)


@KINDS
def test_the_seed_draws_an_adapter_and_leaves_the_global_generator_alone(adapter: AdapterSettings) -> None:
    before = torch.get_rng_state()
    assert_same(prepared(adapter).state_dict(), prepared(adapter).state_dict())
    assert torch.equal(before, torch.get_rng_state())


def test_oft_keeps_the_lengths_of_the_filters_and_the_angles_between_them() -> None:
    layers = nn.ModuleDict({"three": nn.Conv2d(8, 6, 3), "one": nn.Conv2d(12, 5, 1), "linear": nn.Linear(24, 7)})
    before = {name: filters(layer) for name, layer in layers.items()}
    add_oft(layers, list(layers), block=4)
    for name, layer in layers.items():
        assert torch.equal(filters(layer), before[name])
        (rotation,) = (module for module in layer.modules() if isinstance(module, Rotation))
        nn.init.normal_(rotation.angles, generator=torch.Generator().manual_seed(3))
        turned = filters(layer)
        assert not torch.allclose(turned, before[name], atol=0.1)
        assert torch.allclose(turned @ turned.mT, before[name] @ before[name].mT, atol=1e-5)
        matrices = rotation.matrices().detach()
        assert torch.allclose(matrices @ matrices.mT, torch.eye(4).expand_as(matrices), atol=1e-5)
        assert torch.allclose(torch.linalg.det(matrices), torch.ones(len(matrices)), atol=1e-5)


def test_oft_turns_in_float32_under_autocast() -> None:
    layer = nn.Conv2d(8, 6, 3)
    lengths = filters(layer).norm(dim=1)
    add_oft(nn.ModuleDict({"layer": layer}), ["layer"], block=8)
    (rotation,) = (module for module in layer.modules() if isinstance(module, Rotation))
    nn.init.normal_(rotation.angles, generator=torch.Generator().manual_seed(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.weight.dtype == torch.float32
        assert torch.allclose(filters(layer).norm(dim=1), lengths, atol=1e-6)


def test_resnet50_trains_as_many_parameters_as_bichraix_did() -> None:
    classifier = build_classifier("resnet50", input_size=32, classes=9)
    whole = sum(parameter.numel() for parameter in classifier.parameters())
    prepare_classifier(classifier, recipe(LORA), seed=0)
    assert count_parameters(classifier) == {
        "all": whole + 61_440,
        "trained": 79_881,
        "adapters": 61_440,
        "head": 18_441,
    }


def test_parameters_are_counted_without_adapters_too() -> None:
    classifier = build_classifier("resnet10", input_size=32, classes=9)
    whole = sum(parameter.numel() for parameter in classifier.parameters())
    assert count_parameters(classifier) == {"all": whole, "trained": whole, "adapters": 0, "head": 4617}
    prepare_classifier(classifier, recipe(tuned="head"), seed=0)
    assert count_parameters(classifier)["trained"] == 4617


@pytest.mark.parametrize(
    ("kind", "pattern"), [("lora", r".*\.fc\d"), ("oft", r".*\.fc\d"), ("oft", r".*(qkv|proj|conv\d?)")]
)
def test_timms_networks_take_adapters(kind: str, pattern: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_vit", num_classes=9, img_size=32).eval()
        layers = find_layers(network, [pattern])
        with torch.no_grad():
            expected = network(IMAGES)
            keys = network.state_dict().keys()
            if kind == "lora":
                add_lora(network, layers, rank=2, alpha=1.0, size=32)
            else:
                add_oft(network, layers, block=2)
            assert torch.equal(network(IMAGES), expected)
            merge_lora(network)
            merge_oft(network)
            assert torch.allclose(network(IMAGES), expected, atol=1e-6)
            assert network.state_dict().keys() == keys


@pytest.mark.parametrize(
    ("arch", "adapter", "message"),
    [
        ("resnet10", LORA.model_copy(update={"layers": [r"layer4\.\d\.conv7"]}), r"close ones are layer4.0.conv\d"),
        ("resnet10", LORA.model_copy(update={"layers": ["conv2"]}), r"'conv2' matches no convolution"),
        ("resnet10", LORA.model_copy(update={"layers": ["fc"]}), r"its head \(fc\), which is trained whole"),
        ("resnet10", OFT.model_copy(update={"block": 7}), r"7, which does not divide the fan-in of layer2.0.conv1 "),
        ("resnet10", OFT.model_copy(update={"block": 7}), r"\(576\): take 2, 3, 4, 6, 8"),
        ("vit_b_32", LORA.model_copy(update={"layers": [".*out_proj"]}), "does not call them: choose other layers"),
        ("mobilenet_v2", LORA.model_copy(update={"layers": [r"features\.2\.conv\.1\.0"]}), "with groups"),
    ],
)
def test_layers_that_cannot_be_adapted_are_said(arch: str, adapter: AdapterSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepared(adapter, arch)


@KINDS
def test_a_killed_training_of_an_adapter_resumes_to_the_same_weights(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: AdapterSettings
) -> None:
    data = opened(sets, tmp_path / "pixels")
    unbroken = prepared(adapter)
    fit_classifier(unbroken, data, tmp_path / "unbroken", SHORT)
    die_after_saving(monkeypatch, 1)
    with pytest.raises(Killed):
        fit_classifier(prepared(adapter), data, tmp_path / "killed", SHORT)
    resumed = prepared(adapter)
    fit_classifier(resumed, data, tmp_path / "killed", SHORT)
    assert_same(unbroken.state_dict(), resumed.state_dict())


def test_a_recipe_says_and_returns_how_many_parameters_it_trains(
    sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").mkdir()
    classifier = build_classifier("resnet10", input_size=32, classes=9)
    keys = classifier.state_dict().keys()
    _, parameters = train_recipe(
        classifier,
        NamedRecipe(name="small", start="init", data="original", adapter=LORA, averaging={"kind": "ema", "decay": 0.5}),
        SHORT,
        Run(0, CPU, torch.float32, tmp_path / "state"),
        Stored(sets, tmp_path / "pixels", 1),
    )
    whole = sum(parameter.numel() for parameter in classifier.parameters())
    adapters = 4 * (512 * 9 + 512)
    assert parameters == {"all": whole + adapters, "trained": adapters + 4617, "adapters": adapters, "head": 4617}
    line = f"small trains 25,097 of {whole + adapters:,} parameters (adapters 20,480, head 4,617)"
    assert line in capsys.readouterr().err
    assert classifier.state_dict().keys() == keys


def test_two_steps_a_base_with_an_mlp_then_oft_from_its_checkpoint(sets: Path, tmp_path: Path) -> None:
    record = {"recipe": {"name": "base"}, "seed": 3}
    base = build_classifier("resnet10", input_size=32, classes=9)
    prepare_classifier(base, recipe(head=HeadSettings(kind="mlp", hidden=16, dropout=0.5)), seed=3)
    fit_classifier(base, opened(sets, tmp_path / "pixels"), tmp_path / "base", SHORT)
    save_classifier(tmp_path / "base.pt", base, record)

    second, _ = load_classifier(tmp_path / "base.pt")
    prepare_classifier(second, recipe(OFT), seed=3)
    assert torch.equal(second.eval()(IMAGES), base.eval()(IMAGES))
    fit_classifier(second, opened(sets, tmp_path / "rand", data="mixed_rand"), tmp_path / "second", SHORT)
    with torch.no_grad():
        unmerged = second.eval()(IMAGES)
    merge_adapters(second)
    save_classifier(tmp_path / "second.pt", second, record)
    loaded, _ = load_classifier(tmp_path / "second.pt")
    with torch.no_grad():
        assert torch.allclose(loaded(IMAGES), unmerged, atol=1e-5)
        assert not torch.allclose(loaded(IMAGES), base(IMAGES), atol=1e-2)
    assert torch.equal(filters(loaded.network.layer4[0].conv1), filters(base.network.layer4[0].conv1))
    turned, straight = (filters(one.network.layer2[0].conv1) for one in (loaded, base))
    assert torch.allclose(turned @ turned.mT, straight @ straight.mT, atol=1e-4)
