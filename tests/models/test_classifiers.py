import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from models.classifiers.classifier import MEAN, STD, build_classifier, resize_images


class Print:
    """A pickle that runs code."""

    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize(("source", "target"), [(224, 64), (48, 48), (37, 20), (20, 37)])
def test_resizing_follows_the_one_rule_for_arrays(source: int, target: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (source, source, 3), dtype=np.uint8)
    expected = resize_pixels(image, (target, target)).astype(np.float32)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    assert np.abs(resize_images(tensor, target)[0].permute(1, 2, 0).numpy() - expected).max() <= 0.51 + (
        target > source
    )


def test_normalisation_is_inside() -> None:
    classifier = build_classifier("resnet10", input_size=32, classes=9).eval()
    grey = torch.tensor(MEAN).view(1, 3, 1, 1).expand(2, 3, 32, 32)
    one_off = grey + torch.tensor(STD).view(1, 3, 1, 1)
    assert torch.allclose(classifier(grey), classifier.network(torch.zeros(2, 3, 32, 32)), atol=1e-5)
    assert torch.allclose(classifier(one_off), classifier.network(torch.ones(2, 3, 32, 32)), atol=1e-4)


def test_images_of_any_size_are_resized_inside() -> None:
    classifier = build_classifier("resnet10", input_size=32, classes=9).eval()
    images = torch.rand(2, 3, 96, 96)
    assert torch.allclose(classifier(images), classifier(F.avg_pool2d(images, 3)), atol=1e-5)


def test_the_seed_draws_the_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        build_classifier("resnet10", input_size=32, seed=seed, classes=9).network for seed in (1, 1, 2)
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.fc.weight, again.fc.weight)
    assert not torch.equal(first.fc.weight, other.fc.weight)


def test_resnet50_learns_a_step_from_random_weights() -> None:
    classifier = build_classifier("resnet50", input_size=64, classes=9)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.01)
    images, labels = torch.rand(4, 3, 64, 64), torch.tensor([0, 1, 2, 3])
    before = classifier.network.fc.weight.detach().clone()
    F.cross_entropy(classifier(images), labels).backward()
    optimizer.step()
    assert classifier(images).shape == (4, 9)
    assert not torch.equal(before, classifier.network.fc.weight)


def test_the_small_networks_differ_by_one_stage() -> None:
    small, large = (build_classifier(arch, input_size=64, classes=9) for arch in ("resnet8", "resnet10"))
    assert small(torch.rand(2, 3, 64, 64)).shape == large(torch.rand(2, 3, 64, 64)).shape == (2, 9)
    others = {name for name in large.state_dict() if "layer4" not in name}
    assert small.state_dict().keys() == others


def test_vit_takes_the_input_size() -> None:
    assert build_classifier("vit_b_32", input_size=64, classes=9).eval()(torch.rand(1, 3, 96, 96)).shape == (1, 9)


@pytest.mark.parametrize("arch", ["timm:test_resnet", "timm:test_vit", "test_efficientnet"])
def test_timms_networks_learn_at_the_input_size(arch: str) -> None:
    classifier = build_classifier(arch, input_size=48, classes=9)
    before = {name: classifier.get_parameter(name).detach().clone() for name in classifier.head_names}
    assert before
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1)
    logits = classifier(torch.rand(4, 3, 96, 96))
    assert logits.shape == (4, 9)
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    assert not any(torch.equal(value, classifier.get_parameter(name)) for name, value in before.items())


@pytest.mark.parametrize("arch", ["timm:test_resnet", "timm:test_vit"])
def test_timms_published_weights_come_without_their_head(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub: dict[str, torch.Tensor] = {}
    create = timm.create_model

    def from_hub(name: str, *, pretrained: bool = False, **how: Any) -> nn.Module:
        network = create(name, **how)
        if pretrained:
            hub.update(network.state_dict())
        return network

    monkeypatch.setattr(timm, "create_model", from_hub)
    classifier = build_classifier(arch, input_size=48, weights="r160_in1k", seed=4, classes=9)
    assert hub
    fresh = build_classifier(arch, input_size=48, seed=4, classes=9).state_dict()
    for name, value in classifier.state_dict().items():
        expected = fresh[name] if name in classifier.head_names else hub[name.removeprefix("network.")]
        assert torch.equal(value, expected), name


def test_weights_that_the_hub_does_not_give_get_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, *, pretrained: bool = False, **how: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to the hub")
        return create(name, **how)

    monkeypatch.setattr(timm, "create_model", offline)
    message = r"weights r160_in1k of timm:test_resnet could not be loaded \(no route to the hub\): .* a local file"
    with pytest.raises(InputError, match=message):
        build_classifier("timm:test_resnet", input_size=32, weights="r160_in1k", classes=9)
    with pytest.raises(
        InputError, match=r"which is no file, nor one of those published for timm:test_resnet \(r160_in1k"
    ):
        build_classifier("timm:test_resnet", input_size=32, weights="a1_in1k", classes=9)


@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": state, "epoch": 3}])
def test_local_weights_with_another_head_keep_all_but_the_head(tmp_path: Path, wrap) -> None:
    source = build_classifier("resnet10", input_size=32, classes=1000, seed=3).network
    torch.save(wrap({f"module.{key}": value for key, value in source.state_dict().items()}), tmp_path / "start.pth")
    built = build_classifier("resnet10", input_size=32, weights=str(tmp_path / "start.pth"), seed=4, classes=9).network
    fresh = build_classifier("resnet10", input_size=32, seed=4, classes=9).network
    assert torch.equal(built.layer4[0].conv2.weight, source.layer4[0].conv2.weight)
    assert torch.equal(built.fc.weight, fresh.fc.weight)


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = build_classifier("resnet10", input_size=32, classes=9).network.state_dict()
    del state["layer1.0.conv1.weight"]
    state["stray"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    torch.save(state, tmp_path / "start.pth")
    with pytest.raises(InputError) as error:
        build_classifier("resnet10", input_size=32, weights=str(tmp_path / "start.pth"), classes=9)
    for part in (
        "missing: layer1.0.conv1.weight",
        "unexpected: stray",
        "wrong shape: conv1.weight 64x1x7x7, expected 64x3x7x7",
    ):
        assert part in str(error.value)


def test_files_that_are_no_weights_get_a_sentence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(build_classifier("resnet10", input_size=32, classes=9).network.state_dict(), whole)
    files = {
        "cut.pth": (whole.read_bytes()[:10_000], "cut short"),
        "empty.pth": (b"", "is empty"),
        "page.pth": (b"<html>not found</html>", "is a web page"),
        "code.pth": (pickle.dumps(Print(), protocol=2), "could run code"),
    }
    for name, (content, expected) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=expected):
            build_classifier("resnet10", input_size=32, weights=str(tmp_path / name), classes=9)
    torch.save({"state_dict": [1, 2]}, tmp_path / "list.pth")
    with pytest.raises(InputError, match="holds no state dict"):
        build_classifier("resnet10", input_size=32, weights=str(tmp_path / "list.pth"), classes=9)


def test_unknown_names_get_a_sentence() -> None:
    with pytest.raises(InputError, match=r"no classifier is called 'resnet5': try .*resnet50"):
        build_classifier("resnet5", input_size=32, classes=9)
    with pytest.raises(InputError, match=r"which is no file, nor one of those published for resnet50 .*IMAGENET1K_V2"):
        build_classifier("resnet50", input_size=32, weights="IMAGENET_V2", classes=9)
