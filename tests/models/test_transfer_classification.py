"""Classification on any backbone's features: what is learnt, answered and counted; what AugMix shows."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.transfer_sets.base import LabelledImage
from models.evaluation.statistics import wilson_interval
from models.training.settings import AugmentSettings
from models.transfer.backbones import PooledBackbone
from models.transfer.class_accuracy import ClassAccuracy, measure_accuracy
from models.transfer.classification import Classification, LinearClassifier
from models.transfer.loading import load_backbone, load_pooled
from models.transfer.modes import Mode
from models.transfer.presets import find_preset
from models.transfer.settings import BackboneSettings, TrainSettings
from models.transfer.task_settings import ClassificationSettings
from models.transfer.tasks import Scored, Task, intervals
from models.transfer.train import TransferRun, train_transfer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NAMES = ("disc", "stripes", "square")
SETTINGS = ClassificationSettings(size=32, crop_scale=0.6, flip=True)
AUGMIX = AugmentSettings(kind="augmix", width=3, depth=3, alpha=1.0, severity=3)
DRAWN = BackboneSettings(arch="resnet8", weights=None)


def pooled(size: int = 32) -> PooledBackbone:
    return load_pooled(DRAWN, runs=Path(), size=size)[0]


def built(settings: ClassificationSettings = SETTINGS, *, size: int = 32) -> tuple[Classification, LinearClassifier]:
    task = Classification(settings)
    torch.manual_seed(0)
    return task, task.build(pooled(size), len(NAMES))


def draw_image(name: str, size: tuple[int, int] = (36, 36)) -> LabelledImage:
    """One of three shapes in any colour; the number at the name's end decides."""
    rng = np.random.default_rng([*name.encode()])
    label = int(name.split()[-1]) % 3
    y, x = np.mgrid[: size[0], : size[1]]
    y0, x0 = size[0] / 2 + rng.integers(-3, 4), size[1] / 2 + rng.integers(-3, 4)
    shapes = (np.hypot(y - y0, x - x0) < 12, (y // 4) % 2 == 0, np.maximum(abs(y - y0), abs(x - x0)) < 5)
    colours = rng.integers((0, 0, 0), (100, 100, 100)), rng.integers((155, 155, 155), (256, 256, 256))
    image = np.where(shapes[label][..., None], *colours) + rng.normal(0, 8, (*size, 3))
    return LabelledImage(name, image.clip(0, 255).astype(np.uint8), label=label)


@dataclass
class Drawn:
    """A set of drawn images."""

    ids: Sequence[str]
    split: str = "train"
    name: str = "drawn"
    task: str = "classification"
    categories: tuple[str, ...] = NAMES
    digest: str = "none"

    def read(self, image_id: str) -> LabelledImage:
        return draw_image(image_id)


def loss_of(task: Classification, network: nn.Module, batch: list[LabelledImage], *, seed: int = 0) -> Tensor:
    losses = task.losses(network, batch, device=CPU, generator=np.random.default_rng(seed))
    assert list(losses) == ["classification"]
    return losses["classification"]


# Training and answers


@pytest.mark.parametrize(("mode", "least"), [("full_network", 0.9), ("fixed_feature", 0.6)])
def test_it_learns_and_a_fixed_backbone_stays(mode: Mode, least: float, tmp_path: Path) -> None:
    backbone, val = pooled(), [draw_image(f"val {n}") for n in range(30)]
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    task = Classification(SETTINGS)
    lengths = TrainSettings(mode=mode, steps=40, batch=12, optimizer="adamw", lr=0.005)
    network, _ = train_transfer(
        task,
        backbone,
        Drawn([f"train {n}" for n in range(48)]),
        find_preset("classification"),
        lengths,
        TransferRun(seed=0, device=CPU, workers=1, folder=tmp_path),
    )
    found = task.score(task.predict(network, val, device=CPU), val, NAMES)
    assert found.values["accuracy"] >= least
    same = [torch.equal(value, before[name]) for name, value in backbone.state_dict().items()]
    assert all(same) if mode == "fixed_feature" else not all(same)


def test_without_crop_and_flip_the_loss_is_the_answers_own() -> None:
    task, network = built(SETTINGS.model_copy(update={"crop_scale": 1.0, "flip": False}))
    network.eval()
    batch = [draw_image(f"a {n}", (32, 32)) for n in range(3)]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) / 255 for one in batch])
    with torch.no_grad():
        logs = network(images).log_softmax(1)
        expected = -logs[range(3), [one.label for one in batch]].mean()
        assert torch.allclose(loss_of(task, network, batch), expected, atol=1e-5)
    said = task.predict(network, batch, device=CPU)
    assert [one["label"] for one in said] == logs.argmax(1).tolist()
    assert [one["confidence"] for one in said] == approx(logs.exp().max(1).values.tolist(), abs=1e-5)
    json.dumps(said)


def test_answers_do_not_depend_on_what_else_is_asked() -> None:
    task, network = built(size=48)
    network.eval()
    batch = [draw_image("a 0"), draw_image("b 1", (64, 40)), draw_image("c 2", (20, 90))]
    together = task.predict(network, batch, device=CPU)
    alone = [task.predict(network, [one], device=CPU)[0] for one in batch]
    assert [one["label"] for one in together] == [one["label"] for one in alone]
    assert [one["confidence"] for one in together] == approx([one["confidence"] for one in alone], abs=1e-5)


def test_losses_are_the_generators() -> None:
    task, network = built()
    batch = [draw_image("a 0"), draw_image("b 1")]
    first, again, other = (loss_of(task, network, batch, seed=seed).item() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_augmix_changes_what_the_network_sees() -> None:
    seen: list[Tensor] = []
    batch = [draw_image("a 0"), draw_image("b 1")]
    for augment in (None, AUGMIX):
        task, network = built(SETTINGS.model_copy(update={"augment": augment}))
        network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        loss_of(task, network, batch)
    assert float((seen[0] - seen[1]).abs().mean()) > 0.001
    assert seen[1].min() >= 0
    assert seen[1].max() <= 1


def test_every_weight_has_a_part_in_the_loss() -> None:
    task, network = built()
    assert isinstance(task, Task)
    loss_of(task, network, [draw_image("a 0"), draw_image("b 1")]).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


# Accuracy


def answers(labels: Sequence[int], confidence: float = 0.5) -> list[dict[str, Any]]:
    return [{"label": label, "confidence": confidence} for label in labels]


def truths(labels: Sequence[int | None]) -> list[LabelledImage]:
    return [LabelledImage(f"n{n}", np.zeros((2, 2, 3), np.uint8), label=label) for n, label in enumerate(labels)]


def test_counted_by_hand() -> None:
    found = measure_accuracy(answers([0, 1, 1, 1]), truths([0, 0, 1, 1]), NAMES)
    assert found.values == {"accuracy": 0.75}
    details = found.details
    assert (details["correct"], details["count"]) == (3, 4)
    assert details["interval"] == approx(wilson_interval(3, 4))
    assert details["ece"] == approx(0.25)
    assert details["per_class"] == {"disc": 0.5, "stripes": 1.0, "square": None}
    assert details["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert details["constant"] == {"accuracy": 0.5, "answer": "disc"}
    json.dumps(details, allow_nan=False)


def test_draws_are_what_measuring_the_drawn_images_gives() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 3, (2, 20)).tolist()
    found = measure_accuracy(answers(said), truths(labels), NAMES)
    counts = rng.multinomial(20, [0.05] * 20, 10)
    for drawn, count in zip(found.resampled(counts)["accuracy"], counts, strict=True):
        places = np.repeat(np.arange(20), count)
        assert drawn == approx(np.mean([labels[place] == said[place] for place in places]))
    low, high = intervals(found, 20, seed=0)["accuracy"]
    assert low < found.values["accuracy"] < high
    assert isinstance(found, Scored)


def test_nothing_measured_has_no_accuracy() -> None:
    found = measure_accuracy([], [], NAMES)
    assert isinstance(found, ClassAccuracy)
    assert math.isnan(found.values["accuracy"])
    assert (found.details["ece"], found.details["constant"]) == (None, None)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (None, "image n0 has no class: take a set for classification"),
        (3, r"image n0 is of class 3, its set has 3 categories \(0 to 2\): take the list of categories"),
    ],
)
def test_truths_that_are_none(label: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        measure_accuracy(answers([0]), truths([label]), NAMES)
    task, network = built()
    with pytest.raises(InputError, match=words):
        loss_of(task, network, truths([label]))


def test_a_backbone_of_maps() -> None:
    backbone, _ = load_backbone(DRAWN, runs=Path())
    with pytest.raises(InputError, match="classification stands on pooled features, and this backbone gives maps"):
        Classification(SETTINGS).build(backbone, 3)
