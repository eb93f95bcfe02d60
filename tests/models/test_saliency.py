"""Attribution maps by their laws: finite differences, a reference of ten lines, shares that can be counted by hand."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.evaluation.saliency import (
    BATCH,
    SETS_READ,
    VARIANTS,
    Pairs,
    attribute,
    attribution_share,
    grad_cam,
    grad_cam_layer,
    input_gradient,
    open_pairs,
    saliency_score,
)
from models.evaluation.saliency_sheet import scaled, sheet_columns, sheet_rows

CPU = torch.device("cpu")
SIDE = 12


@pytest.fixture(scope="module")
def tiny() -> Judged:
    """Two convolutions and a head, in double precision, so that differences can be finite and small."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(6, 5, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 9),
        )
    return Judged(network, class_list=IN9, classes=9, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


LABELS = torch.tensor([0, 4, 8])


def test_gradient_is_a_finite_difference(tiny: Judged, images: torch.Tensor) -> None:
    found = input_gradient(tiny, images, LABELS)
    double, step = copy.deepcopy(tiny).double(), 1e-6
    with torch.inference_mode():
        for y, x in ((0, 0), (5, 7), (11, 3)):
            slopes = []
            for channel in range(3):
                moved = [images.double() for _ in range(2)]
                for image, sign in zip(moved, (1, -1), strict=True):
                    image[:, channel, y, x] += sign * step
                above, below = (double.network(double.prepare(image)) for image in moved)
                slopes.append((above - below)[range(3), LABELS].abs() / (2 * step))
            expected = torch.stack(slopes).amax(0)
            torch.testing.assert_close(found[:, y, x].double(), expected, rtol=1e-3, atol=1e-6)


def reference_grad_cam(model: Judged, layer: nn.Module, image: torch.Tensor, label: int) -> torch.Tensor:
    """As the paper says it: the map's channels, weighed by the mean slope of the logit in each, summed, above zero."""
    kept = []
    hook = layer.register_forward_hook(lambda _, __, output: kept.append(output))
    logit = model(image[None])[0, label]
    hook.remove()
    (slope,) = torch.autograd.grad(logit, kept[0])
    found = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).clamp(min=0)
    return nn.functional.interpolate(found, image.shape[1:], mode="bilinear")[0, 0].detach()


def test_grad_cam_is_the_reference(tiny: Judged, images: torch.Tensor) -> None:
    assert grad_cam_layer(tiny, images[:1]) == "3"
    found = grad_cam(tiny, images, LABELS)
    assert found.max() > 0
    for image, label, one in zip(images, LABELS.tolist(), found, strict=True):
        torch.testing.assert_close(one, reference_grad_cam(tiny, tiny.network[3], image, label))


@pytest.mark.parametrize(
    ("arch", "side", "layer"),
    [
        ("resnet10", 64, "layer3"),
        ("resnet10", 128, "layer4"),
        ("mobilenet_v3_small", 128, "features"),
        ("alexnet", 128, "avgpool"),
        ("vit_b_32", 64, None),
    ],
)
def test_grad_cam_looks_at_the_last_map_that_tells_places_apart(arch: str, side: int, layer: str | None) -> None:
    model = judged_classifier(build_classifier(arch, input_size=side, classes=9), IN9).eval()
    images = torch.rand(1, 3, 72, 72)
    assert grad_cam_layer(model, images) == layer
    if layer is None:
        with pytest.raises(InputError, match="no convolutional map that Grad-CAM could weigh"):
            grad_cam(model, images, torch.tensor([0]))
    assert input_gradient(model, images, torch.tensor([0])).shape == (1, 72, 72)


def test_a_thousand_classes_speak_for_nine(images: torch.Tensor) -> None:
    network = torchvision.models.shufflenet_v2_x0_5(weights=None)
    model = Judged(network, class_list=IN9, classes=1000, size=64).eval()
    found = input_gradient(model, images, LABELS)
    model.zero_grad()
    best = model.class_logits(model(images)).detach()[range(3), LABELS]
    column = [int((model(images).detach()[i] == best[i]).nonzero()[0]) for i in range(3)]
    moved = images.clone().requires_grad_()
    model(moved)[range(3), column].sum().backward()
    torch.testing.assert_close(found, moved.grad.abs().amax(1))


def test_shares_are_counted_by_hand() -> None:
    maps = np.zeros((4, 2, 2), np.float32)
    maps[0], maps[1, 0, 0], maps[2] = [[1, 2], [3, 4]], 5, 1
    masks = np.array([[[True, False], [False, True]]] * 3 + [[[True, True], [True, True]]])
    found = attribution_share(maps, masks)
    assert found[:3] == pytest.approx([0.5, 1.0, 0.5])
    assert np.isnan(found[3])
    everywhere = np.ones_like(masks)
    assert attribution_share(maps[:3], everywhere[:3]).tolist() == [1.0, 1.0, 1.0]
    assert attribution_share(maps[:3], ~everywhere[:3]).tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(attribution_share(maps[:3], masks[:3]) + attribution_share(maps[:3], ~masks[:3]), 1)


@pytest.fixture(scope="module")
def model() -> Judged:
    return judged_classifier(build_classifier("resnet10", input_size=48, seed=1, classes=9), IN9).eval()


def opened(sets: Path, per_class: int | None = 2, seed: int = 0) -> Pairs:
    return open_pairs(open_sources(sets, SETS_READ), split="val", per_class=per_class, seed=seed, workers=1)


def test_pairs_are_the_same_photos_in_turns_of_classes(sets: Path) -> None:
    pairs = opened(sets)
    assert pairs.labels.tolist() == [*range(9)] * 2
    assert set(pairs.images) == set(VARIANTS)
    assert len(set(pairs.ids)) == 18
    assert opened(sets, 1).ids == pairs.ids[:9]
    assert opened(sets, None).ids == pairs.ids
    assert len({opened(sets, 1, seed).ids for seed in range(4)}) > 1
    # In these sets both variants show the same picture.
    np.testing.assert_array_equal(pairs.images["original"], pairs.images["mixed_rand"])


def test_a_cache_changes_nothing(sets: Path, tmp_path: Path) -> None:
    pairs = opened(sets)
    for _ in range(2):
        cached = open_pairs(open_sources(sets, SETS_READ), split="val", per_class=2, seed=0, workers=1, cache=tmp_path)
        assert cached.ids == pairs.ids
        assert (cached.masks == pairs.masks).all()
        for variant in VARIANTS:
            assert (cached.images[variant] == pairs.images[variant]).all()


def test_the_score_says_how_much_lies_on_the_foreground(sets: Path, model: Judged) -> None:
    pairs = opened(sets)
    score = saliency_score(model, pairs, device=CPU)
    assert score == saliency_score(model, pairs, device=CPU)
    assert (score["photos"], score["grad_cam_layer"]) == (18, "layer2")
    assert score["foreground_area"] == pytest.approx(pairs.masks.mean(), abs=1e-6)
    assert score["variants"]["original"] == score["variants"]["mixed_rand"]
    for method, summary in score["variants"]["original"].items():
        shares = attribution_share(
            attribute(model, pairs.images["original"], pairs.labels, method=method, device=CPU), pairs.masks
        )
        known = shares[~np.isnan(shares)]
        assert summary == {
            "mean_share": pytest.approx(known.mean(), abs=1e-6),
            "count": len(known),
            "without_attribution": 18 - len(known),
        }
    whole = Pairs(pairs.ids, pairs.labels, pairs.images, np.ones_like(pairs.masks), IN9)
    for methods in saliency_score(model, whole, device=CPU)["variants"].values():
        assert {summary["mean_share"] for summary in methods.values()} == {1.0}


def test_a_network_without_maps_has_gradients_alone(sets: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten(), nn.LayerNorm(144), nn.Linear(144, 9))
    pairs, model = opened(sets, 1), Judged(network, class_list=IN9, classes=9).eval()
    score = saliency_score(model, pairs, device=CPU)
    assert score["grad_cam_layer"] is None
    assert {tuple(methods) for methods in score["variants"].values()} == {("gradient",)}
    (row,) = sheet_rows(model, pairs, score, count=1, device=CPU)
    assert len(row.cells) == len(sheet_columns(score)) == 4


def test_a_photos_map_depends_on_no_other_photo(sets: Path, model: Judged) -> None:
    pairs = opened(sets)
    assert len(pairs.ids) > BATCH
    for method in ("gradient", "grad_cam"):
        whole = attribute(model, pairs.images["original"], pairs.labels, method=method, device=CPU)
        last = attribute(model, pairs.images["original"][-1:], pairs.labels[-1:], method=method, device=CPU)
        np.testing.assert_allclose(whole[-1:], last, rtol=1e-3, atol=1e-6)


def test_the_sheet_shows_each_variant_and_its_maps(sets: Path, model: Judged) -> None:
    pairs = opened(sets)
    score = saliency_score(model, pairs, device=CPU)
    columns = ["original", "input gradient", "Grad-CAM", "mixed_rand", "input gradient", "Grad-CAM"]
    assert sheet_columns(score) == columns
    rows = sheet_rows(model, pairs, score, count=3, device=CPU)
    assert [row.title for row in rows] == [
        f"{name} ({pairs.ids[i]})" for i, name in enumerate(("dog", "bird", "wheeled vehicle"))
    ]
    assert {len(row.cells) for row in rows} == {len(columns)}
    assert "on the foreground" in rows[0].cells[1].caption[0]
    assert sheet_rows(model, pairs, score, count=0, device=CPU) == []


def test_a_map_is_scaled_for_the_eye() -> None:
    ramp = np.linspace(0, 8, 400, dtype=np.float32).reshape(20, 20)
    found = scaled(ramp)
    assert found.max() == 1.0 and found.min() == 0.0
    assert (found[:-1] < 1).all()
    assert not scaled(np.zeros((3, 3), np.float32)).any()
    single = np.zeros((20, 20), np.float32)
    single[3, 3] = 2
    assert scaled(single)[3, 3] == 1.0
