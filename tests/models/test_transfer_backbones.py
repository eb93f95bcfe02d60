"""Backbones: the maps are the networks' own, at their strides, from whatever library; names that do not exist."""

import copy
import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from pydantic import ValidationError
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FeaturePyramidNetwork

from bgdata.errors import InputError
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import MEAN, STD, build_classifier
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD
from models.transfer.backbones import Backbone, PooledBackbone
from models.transfer.loading import (
    accept_any_size,
    check_arch,
    load_backbone,
    load_pooled,
    rebuild_backbone,
    rebuild_pooled,
)
from models.transfer.settings import BackboneSettings

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
NOWHERE = Path("runs-that-are-not-there")
CHANNELS = {
    "resnet8": {4: 64, 8: 128, 16: 256},
    "resnet10": {4: 64, 8: 128, 16: 256, 32: 512},
    "resnet50": {4: 256, 8: 512, 16: 1024, 32: 2048},
    "swin_t": {4: 96, 8: 192, 16: 384, 32: 768},
    "timm:convnext_tiny": {4: 96, 8: 192, 16: 384, 32: 768},
    "timm:swin_tiny_patch4_window7_224": {4: 96, 8: 192, 16: 384, 32: 768},
    "densenet121": {4: 256, 8: 512, 16: 1024, 32: 1024},
    "timm:test_efficientnet": {4: 24, 8: 32, 16: 48, 32: 256},
}


def drawn(arch: str) -> Backbone:
    return load_backbone(BackboneSettings(arch=arch, weights=None), runs=NOWHERE)[0]


def normalised(
    images: Tensor, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD
) -> Tensor:
    return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def near(one: Tensor, other: Tensor) -> bool:
    """Equal but for the order of sums: memory formats differ."""
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("arch", CHANNELS)
def test_maps_by_stride_and_every_weight_has_a_part_in_them(arch: str) -> None:
    backbone = drawn(arch)
    assert backbone.channels == CHANNELS[arch]
    maps = backbone(IMAGES)
    assert list(maps) == list(CHANNELS[arch])
    for stride, found in maps.items():
        assert found.shape == (2, CHANNELS[arch][stride], 64 // stride, 128 // stride)
    sum(found.square().mean() for found in maps.values()).backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []
    assert not backbone.training


def test_maps_of_a_resnet_are_its_stages() -> None:
    network = torchvision.models.resnet50(weights=None).eval()
    stages = IntermediateLayerGetter(copy.deepcopy(network), {f"layer{n}": str(2 ** (n + 1)) for n in (1, 2, 3, 4)})
    with torch.no_grad():
        expected = stages(normalised(IMAGES))
        maps = Backbone(network, mean=IMAGENET_MEAN, std=IMAGENET_STD)(IMAGES)
    assert all(near(maps[int(stride)], of) for stride, of in expected.items())
    assert len(maps) == len(expected)


def test_maps_of_a_swin_are_turned() -> None:
    network = torchvision.models.swin_t(weights=None).eval()
    with torch.no_grad():
        expected, value = {}, normalised(IMAGES)
        for place, stage in enumerate(network.features):
            value = stage(value)
            if place % 2:
                expected[2 ** (2 + place // 2)] = value.movedim(-1, 1)
        expected[32] = network.norm(value).movedim(-1, 1)
        maps = Backbone(network, mean=IMAGENET_MEAN, std=IMAGENET_STD)(IMAGES)
    assert all(near(maps[stride], of) for stride, of in expected.items())


@pytest.mark.parametrize("name", ["convnext_atto", "resnet26d", "swin_tiny_patch4_window7_224"])
def test_maps_of_timms_networks_are_those_that_timm_itself_takes(name: str) -> None:
    any_size = {"strict_img_size": False} if name.startswith("swin") else {}
    network = timm.create_model(name, pretrained=False, **any_size).eval()
    with torch.no_grad():
        expected = network.forward_intermediates(normalised(IMAGES), norm=True, intermediates_only=True)
        maps = Backbone(network, mean=IMAGENET_MEAN, std=IMAGENET_STD)(IMAGES)
    assert all(near(found, of) for found, of in zip(maps.values(), expected[-4:], strict=True))


def test_timms_swins_take_images_of_any_size() -> None:
    free = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False, strict_img_size=False).eval()
    strict = timm.create_model("swin_tiny_patch4_window7_224", pretrained=False).eval()
    strict.load_state_dict(free.state_dict())
    with pytest.raises(AssertionError):
        strict(IMAGES)
    with torch.no_grad():
        assert torch.equal(accept_any_size(strict)(IMAGES), free(IMAGES))


def test_a_feature_pyramid_stands_on_it() -> None:
    backbone = drawn("resnet8")
    pyramid = FeaturePyramidNetwork(list(backbone.channels.values()), 16)(backbone(IMAGES))
    assert [found.shape[1] for found in pyramid.values()] == [16, 16, 16]


def test_a_copy_gives_its_own_maps() -> None:
    backbone = drawn("resnet8")
    before = backbone(IMAGES)
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        twin.network.conv1.weight.zero_()
    assert torch.equal(backbone(IMAGES)[16], before[16])
    assert not torch.equal(twin(IMAGES)[16], before[16])


def test_weights_are_drawn_by_the_seed_and_go_from_one_backbone_to_another() -> None:
    one, other = (
        load_backbone(BackboneSettings(arch="resnet8", weights=None), runs=NOWHERE, seed=n)[0] for n in (0, 1)
    )
    assert not torch.equal(one(IMAGES)[4], other(IMAGES)[4])
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(IMAGES)[4], other(IMAGES)[4])
    again, _ = load_backbone(BackboneSettings(arch="resnet8", weights=None), runs=NOWHERE, seed=1)
    torch.manual_seed(3)
    named = [load_backbone(BackboneSettings(arch="resnet18", weights=None), runs=NOWHERE, seed=n)[0] for n in (1, 1, 2)]
    assert not torch.equal(again(IMAGES)[4], one(IMAGES)[4])
    assert torch.equal(named[0](IMAGES)[4], named[1](IMAGES)[4])
    assert not torch.equal(named[0](IMAGES)[4], named[2](IMAGES)[4])
    assert not any(name.startswith("network.fc") for name in one.state_dict())


def test_a_recipes_run_with_its_own_statistics_and_its_head_off(tmp_path: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32, seed=1, classes=9).eval()
    (tmp_path / "dynamic").mkdir()
    save_classifier(tmp_path / "dynamic/model.pt", classifier, {"recipe": {"name": "dynamic"}, "seed": 1})
    settings = BackboneSettings(recipe="dynamic")
    pooled, record = load_pooled(settings, runs=tmp_path)
    backbone, _ = load_backbone(settings, runs=tmp_path)
    with torch.no_grad():
        assert torch.allclose(classifier.network.fc(pooled(IMAGES)), classifier(IMAGES), atol=1e-5)
        deepest = backbone(IMAGES[..., :32, :32])[32]
        assert torch.allclose(deepest.mean((2, 3)), pooled(IMAGES[..., :32, :32]), atol=1e-5)
    assert (pooled.width, pooled.size) == (512, 32)
    assert torch.allclose(backbone.mean.flatten(), torch.tensor(MEAN))
    assert torch.allclose(backbone.std.flatten(), torch.tensor(STD))
    assert (record["recipe"], record["seed"], len(record["checkpoint_sha256"])) == ("dynamic", 1, 64)


@pytest.mark.parametrize("arch", ["resnet8", "resnet18", "timm:test_resnet", "recipe"])
def test_a_record_is_enough_to_build_it_again(arch: str, tmp_path: Path) -> None:
    settings = BackboneSettings(recipe="plain") if arch == "recipe" else BackboneSettings(arch=arch, weights=None)
    (tmp_path / "plain").mkdir()
    classifier = build_classifier("timm:test_vit", input_size=48, seed=1, classes=9)
    if arch == "recipe":
        save_classifier(tmp_path / "plain/model.pt", classifier, {"recipe": {"name": "plain"}, "seed": 1})
    else:
        backbone, record = load_backbone(settings, runs=tmp_path, seed=7)
        again = rebuild_backbone(json.loads(json.dumps(record)))
        again.load_state_dict(backbone.state_dict())
        assert again.channels == backbone.channels
        assert all(torch.equal(again(IMAGES)[stride], found) for stride, found in backbone(IMAGES).items())
    pooled, record = load_pooled(settings, runs=tmp_path, size=48, seed=7)
    pooled_again = rebuild_pooled(json.loads(json.dumps(record)))
    pooled_again.load_state_dict(pooled.state_dict())
    assert torch.equal(pooled_again(IMAGES), pooled(IMAGES))


@pytest.mark.parametrize("classes", [1000, 7])
def test_a_file_of_weights_whatever_its_head(classes: int, tmp_path: Path) -> None:
    torch.manual_seed(5)
    network = torchvision.models.shufflenet_v2_x0_5(num_classes=classes).eval()
    torch.save(
        {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "w.pt"
    )
    settings = BackboneSettings(arch="shufflenet_v2_x0_5", weights=str(tmp_path / "w.pt"))
    pooled, record = load_pooled(settings, runs=NOWHERE, size=64)
    with torch.no_grad():
        square = IMAGES[..., :64]
        assert torch.allclose(network.fc(pooled(square)), network(normalised(square)), atol=1e-4)
    assert record["weights"] == "file"
    with pytest.raises(InputError, match=r"w\.pt do not fit the network.*missing: .*unexpected: "):
        load_backbone(BackboneSettings(arch="resnet18", weights=str(tmp_path / "w.pt")), runs=NOWHERE)


def test_pooled_features_of_a_network_made_for_one_size() -> None:
    pooled, record = load_pooled(BackboneSettings(arch="timm:test_vit", weights=None), runs=NOWHERE)
    assert pooled(IMAGES).shape == (2, pooled.width) == (2, 64)
    assert record["size"] == pooled.size == 160


def test_images_are_multiples_of_the_coarsest_stride() -> None:
    with pytest.raises(InputError, match=r"images of 64x72 pixels.*stride 16: resize or pad them so that 16 divides"):
        drawn("resnet8")(IMAGES[..., :72])


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("alexnet", r"AlexNet has feature maps of no strides among 4, 8, 16, 32, expected two or more: take"),
        ("timm:test_vit", r"VisionTransformer has feature maps of 1 stride among"),
        ("maxvit_t", r"MaxVit fails on an image of 64x96 pixels \(shape.*\): take a network that accepts any size"),
        ("resnet51", r"no classifier is called 'resnet51': try .*resnet50"),
    ],
)
def test_networks_without_maps_and_names_of_none(arch: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        drawn(arch)


def test_features_of_another_form_are_refused() -> None:
    with pytest.raises(InputError, match=r"Conv2d gives 1x2x64x64 for an image, expected one row of features"):
        PooledBackbone(nn.Conv2d(3, 2, 1), mean=IMAGENET_MEAN, std=IMAGENET_STD)


@pytest.mark.parametrize(
    ("arch", "weights", "words"),
    [
        ("resnet50", "gone.pt", r"gone\.pt is missing: give a file of resnet50's weights, or a name of published ones"),
        (
            "resnet50",
            "IMAGENET1K_V9",
            r"torchvision has no weights 'IMAGENET1K_V9' for resnet50: expected one of IM",
        ),
        ("timm:convnext_tiny", "of_mine", r"timm has no weights 'of_mine' for convnext_tiny: expected one of "),
        ("resnet8", "IMAGENET1K_V1", r"resnet8 is a network of this project, without published weights .*give a file"),
    ],
)
def test_weights_that_are_not_there(arch: str, weights: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_backbone(BackboneSettings(arch=arch, weights=weights), runs=NOWHERE)


def test_a_run_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a run of one of no recipe \(none was trained\)"):
        load_backbone(BackboneSettings(recipe="dynamic"), runs=tmp_path)
    (tmp_path / "mixup").mkdir()
    (tmp_path / "mixup/model.pt").touch()
    with pytest.raises(InputError, match=r"dynamic/model\.pt is missing: expected a run of one of mixup, or train"):
        load_backbone(BackboneSettings(recipe="dynamic"), runs=tmp_path)


def test_names_are_checked_before_anything_is_trained() -> None:
    for arch in ("resnet8", "swin_t", "timm:convnext_tiny"):
        check_arch(arch)
    with pytest.raises(InputError, match=r"no classifier is called 'swin_tt': try swin_t"):
        check_arch("swin_tt")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "one of recipe, arch and published, none of them was given"),
        ({"recipe": "dynamic", "arch": "resnet50", "weights": None}, "recipe and arch was given"),
        ({"arch": "resnet50"}, r"arch goes with weights \(a name, a file, or null: drawn at random\)"),
        ({"recipe": "dynamic", "weights": "x.pt"}, "arch goes with weights"),
        ({"published": "ant"}, "published goes with file"),
        ({"recipe": "dynamic", "file": "x.pt"}, "published goes with file"),
        ({"published": "augmax", "file": "x.pt"}, "'ant', 'deepaugment_augmix' or 'adversarial'"),
        ({"recipe": "dynamic", "depth": 3}, "Extra inputs are not permitted"),
    ],
)
def test_settings_say_one_backbone(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BackboneSettings.model_validate(given)
