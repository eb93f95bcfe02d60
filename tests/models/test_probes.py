"""Linear probes: features that separate are separated, and nothing but photos, weights and seed decides."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import nn

from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from bgdata.io import encode_jpeg
from bgdata.labels import CLASS_COUNT, IN9
from bgdata.shards import Row
from bgdata.sources import open_sources
from models.classifiers.backbones import load_backbone, take_off_head
from models.classifiers.judged import Judged
from models.classifiers.loading import ModelSource
from models.evaluation.in9 import bg_gap, judge_variants
from models.evaluation.probes import Features, Probe, extract_features, fit_probe, probed, read_features
from tests.models.conftest import write_set

CPU = torch.device("cpu")
TINY = "timm:test_vit"


def separable(count: int = 90, width: int = 12, noise: float = 0.05) -> Features:
    rng = np.random.default_rng(3)
    labels = np.arange(count) % CLASS_COUNT
    values = rng.normal(0, noise, (count, width)) + np.eye(CLASS_COUNT, width)[labels]
    return Features(values.astype(np.float32), labels, tuple(f"n{index:04d}" for index in range(count)), IN9)


def scores(probe: Probe, features: Features) -> np.ndarray:
    return features.values @ probe.weight.T + probe.bias


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets in which the mean colour alone says the class, in every variant."""
    root = tmp_path_factory.mktemp("plain")
    turn = 2 * np.pi * np.arange(CLASS_COUNT) / CLASS_COUNT
    colours = np.stack([128 + 100 * np.cos(turn), 128 + 100 * np.sin(turn), np.full(CLASS_COUNT, 90)], 1)
    rng = np.random.default_rng(0)
    for name in VARIANTS:
        members = []
        for split, per_class in (("train", 5), ("val", 2)):
            for label in range(CLASS_COUNT):
                for number in range(per_class):
                    photo = f"n{label:08d}_{split}{number}"
                    pixels = np.broadcast_to(colours[label] + rng.integers(-2, 3, 3), (32, 32, 3)).astype(np.uint8)
                    row = Row(photo, split, label, "n0", IN9.member_name(label, photo))
                    members.append((row, encode_jpeg(np.ascontiguousarray(pixels), 95)))
        write_set(root / name, members)
    return root


@pytest.fixture(scope="module")
def pooling() -> Judged:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Judged(network, class_list=IN9, classes=1000).eval()


def train_features(backbone: Judged, sets: Path, *, batch: int = 8) -> Features:
    source = open_sources(sets, ["original"])["original"]
    return read_features(backbone, source, split="train", device=CPU, eval_batch=batch, workers=1)


def test_features_that_separate_give_all_photos_in_all_variants(plain: Path, pooling: Judged) -> None:
    probe = fit_probe(train_features(pooling, plain), seed=0)
    judgements = judge_variants(
        probed(pooling, probe), open_sources(plain, VARIANTS), split="val", device=CPU, eval_batch=5, workers=1
    )
    assert all(judgement.correct.all() for judgement in judgements.values())
    assert bg_gap(judgements) == 0
    assert probe.photos == 45


def test_the_seed_draws_the_held_out_photos_and_a_second_fit_is_the_first() -> None:
    features = separable(noise=1.0)
    one, again, other = (fit_probe(features, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.weight, again.weight)
    assert one.held_out == again.held_out
    assert one.held_out != other.held_out


def test_order_changes_nothing() -> None:
    features = separable(noise=1.0)
    order = np.random.default_rng(1).permutation(len(features.ids))
    mixed = Features(features.values[order], features.labels[order], tuple(features.ids[index] for index in order), IN9)
    one, other = fit_probe(features, seed=0), fit_probe(mixed, seed=0)
    assert np.array_equal(one.weight, other.weight)
    assert one.held_out == other.held_out


def test_batch_size_changes_no_prediction(sets: Path, tmp_path: Path) -> None:
    backbone = load_backbone(ModelSource(class_list=IN9, arch=TINY, checkpoint=write_tiny(tmp_path)))[0]
    one, other = (train_features(backbone, sets, batch=batch) for batch in (1, 64))
    assert one.ids == other.ids
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)
    predicted = [scores(fit_probe(features, seed=0), one).argmax(1) for features in (one, other)]
    assert np.array_equal(*predicted)


def test_the_minimum_is_that_of_an_independent_optimiser() -> None:
    features = separable(noise=0.7)
    probe = fit_probe(features, seed=0, l2=[0.01])
    values = features.values.astype(np.float64)
    values = (values - values.mean(0)) / values.std(0)

    def loss(flat: np.ndarray) -> float:
        weight, bias = flat[: 9 * 12].reshape(9, 12), flat[9 * 12 :]
        likelihood = log_softmax(values @ weight.T + bias, axis=1)[np.arange(90), features.labels].mean()
        return 0.01 / 2 * (weight**2).sum() - likelihood

    found = minimize(loss, np.zeros(9 * 13), method="L-BFGS-B", options={"maxfun": 200_000, "maxiter": 500}).x
    expected = log_softmax(values @ found[: 9 * 12].reshape(9, 12).T + found[9 * 12 :], axis=1)
    np.testing.assert_allclose(log_softmax(scores(probe, features), axis=1), expected, atol=2e-3)


def test_a_feature_that_never_changes_is_harmless() -> None:
    features = separable()
    constant = np.full((90, 1), 1e3, np.float32)
    with_constant = Features(np.hstack([features.values, constant]), features.labels, features.ids, IN9)
    probe = fit_probe(with_constant, seed=0)
    assert not probe.weight[:, -1].any()
    assert (scores(probe, with_constant).argmax(1) == features.labels).all()


def write_tiny(folder: Path, *, classes: int = 7) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_vit", num_classes=classes)
    path = folder / "tiny.pt"
    torch.save({"model": network.state_dict()}, path)
    return path


def test_a_checkpoints_head_of_any_size_or_none_is_dropped(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 160, 160, 3), dtype=np.uint8)
    found = []
    for classes in (0, 7, 1000):
        network = timm.create_model("test_vit", num_classes=classes)
        torch.nn.init.normal_(network.patch_embed.proj.weight, generator=torch.Generator().manual_seed(1))
        path = tmp_path / f"{classes}.pt"
        if found:
            network.load_state_dict(torch.load(tmp_path / "0.pt"), strict=False)
        torch.save(network.state_dict(), path)
        backbone, record = load_backbone(ModelSource(class_list=IN9, arch=TINY, checkpoint=path))
        found.append(extract_features(backbone, images, device=CPU, batch=2))
        assert record["arch"] == TINY
        assert "classes" not in record
    assert found[0].shape == (3, 64)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_torchvisions_heads_come_off() -> None:
    import torchvision

    for name, width in (("resnet18", 512), ("mobilenet_v3_small", 1024)):
        network = take_off_head(torchvision.models.get_model(name, weights=None)).eval()
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, width)
    with pytest.raises(InputError, match="SqueezeNet has no linear head that can be taken off"):
        take_off_head(torchvision.models.get_model("squeezenet1_1", weights=None))


def test_what_cannot_be_probed_is_said(plain: Path, pooling: Judged, tmp_path: Path) -> None:
    features = separable()
    few = Features(features.values[:10], features.labels[:10], features.ids[:10], IN9)
    with pytest.raises(InputError, match="01_bird has 1 training photos, expected at least 2"):
        fit_probe(few, seed=0)
    maps = Judged(nn.Identity(), class_list=IN9, classes=1000)
    with pytest.raises(InputError, match="gives 3x32x32 an image, expected a vector of features"):
        train_features(maps, plain)
    with pytest.raises(InputError, match="has no other photos"):
        source = open_sources(plain, ["original"])["original"]
        read_features(pooling, source, split="other", device=CPU, eval_batch=1, workers=1)
    with pytest.raises(InputError, match="is missing: give a file of weights"):
        load_backbone(ModelSource(class_list=IN9, checkpoint=tmp_path / "none.pt"))
    state = {f"{key}x": value for key, value in timm.create_model("test_vit").state_dict().items()}
    torch.save(state, tmp_path / "renamed.pt")
    with pytest.raises(InputError, match="do not fit the network: missing"):
        load_backbone(ModelSource(class_list=IN9, arch=TINY, checkpoint=tmp_path / "renamed.pt"))
