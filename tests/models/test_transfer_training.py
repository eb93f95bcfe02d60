"""The loop of the transfer: what trains and what does not, the same weights after a kill, each image once an epoch."""

import csv
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.transfer_sets.base import Instance, LabelledImage, TaskSet
from models.transfer.backbones import FeatureNetwork, PooledBackbone
from models.transfer.loading import load_pooled
from models.transfer.modes import Mode
from models.transfer.presets import Preset, StepDecay, rate_at
from models.transfer.reading import Reader
from models.transfer.settings import BackboneSettings, TrainSettings
from models.transfer.tasks import Task
from models.transfer.train import HISTORY, STATE, TransferRun, train_transfer

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 16
PRESET = Preset("sgd", lr=0.05, weight_decay=1e-3, batch=3, length=2, unit="epochs", decay=StepDecay((0.5,)), warmup=2)
IDS = tuple(f"photo{number}" for number in range(7))


class Dots:
    """Seven noisy images of three classes; counts who was read."""

    name, task, split = "dots/train", "classification", "train"
    categories = ("a", "b", "c")
    digest = "of no file"

    def __init__(self, ids: Sequence[str] = IDS) -> None:
        self.ids = ids
        self.reads: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self, image_id: str) -> LabelledImage:
        if image_id == "broken":
            raise InputError("broken.jpg is no image: fetch the set again")
        with self._lock:
            self.reads[image_id] += 1
        number = int(image_id.removeprefix("photo"))
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        return LabelledImage(image_id, pixels, label=number % 3)


class Killed(Exception):
    """As a kill comes: at any step."""


class Naming:
    """A task of two losses that draws from both generators; notes its batches, and is killed where it is told to."""

    name = "naming"
    metrics = ("accuracy",)

    def __init__(self, *, killed_at: int | None = None, broken_at: int | None = None) -> None:
        self.killed_at, self.broken_at = killed_at, broken_at
        self.batches: list[list[str]] = []

    def build(self, backbone: FeatureNetwork, categories: int) -> nn.Module:
        assert isinstance(backbone, PooledBackbone)
        return nn.Sequential(backbone, nn.Dropout(0.5), nn.Linear(backbone.width, categories))

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        if len(self.batches) == self.killed_at:
            raise Killed
        self.batches.append([one.id for one in batch])
        pixels = np.stack([one.image for one in batch]) + generator.normal(0, 20, (len(batch), SIDE, SIDE, 3))
        logits = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().to(device) / 255)
        labels = torch.tensor([one.label for one in batch], device=device)
        entropy = nn.functional.cross_entropy(logits, labels)
        size = logits.square().mean() * (torch.nan if len(self.batches) == self.broken_at else 0.01)
        return {"entropy": entropy, "size": size}

    def predict(self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device) -> list[Any]:
        raise NotImplementedError

    def score(self, predictions: Sequence[Any], truth: Any, categories: Sequence[str]) -> Any:
        raise NotImplementedError


def backbone() -> PooledBackbone:
    return load_pooled(BackboneSettings(arch="resnet8", weights=None), runs=Path("none"), size=SIDE)[0]


def trained(
    folder: Path,
    task: Naming | None = None,
    *,
    mode: Mode = "full_network",
    data: TaskSet | None = None,
    seed: int = 0,
    workers: int = 2,
    kept_every: float = 0.0,
    preset: Preset = PRESET,
    on: PooledBackbone | None = None,
    **settings: Any,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    run = TransferRun(seed, torch.device("cpu"), folder, workers, kept_every)
    how = TrainSettings(mode=mode, **({"steps": 6} | settings))
    return train_transfer(task or Naming(), on or backbone(), data or Dots(), preset, how, run)


def same(one: nn.Module, other: nn.Module) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_fakes_are_what_they_stand_for() -> None:
    assert isinstance(Dots(), TaskSet) and isinstance(Naming(), Task)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_killed_training_ends_in_the_weights_of_an_unbroken_one(tmp_path: Path, optimizer: str) -> None:
    (tmp_path / "unbroken").mkdir()
    (tmp_path / "killed").mkdir()
    whole, history = trained(tmp_path / "unbroken", optimizer=optimizer)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", Naming(killed_at=4), optimizer=optimizer)
    second = Naming()
    again, rows = trained(tmp_path / "killed", second, optimizer=optimizer)
    assert len(second.batches) == 2
    assert same(whole, again)
    assert rows == history
    assert (tmp_path / "killed" / HISTORY).read_bytes() == (tmp_path / "unbroken" / HISTORY).read_bytes()
    assert same(trained(tmp_path / "killed", Naming(killed_at=0), optimizer=optimizer)[0], whole)  # it is finished


def test_states_are_kept_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(tmp_path, Naming(killed_at=5), kept_every=3600.0)
    assert not (tmp_path / STATE).exists()
    trained(tmp_path, kept_every=3600.0)
    assert (tmp_path / STATE).exists()


def test_all_comes_from_the_seed(tmp_path: Path) -> None:
    found = {}
    for name, seed, workers in (("one", 0, 1), ("two", 0, 4), ("other", 1, 1)):
        (tmp_path / name).mkdir()
        torch.manual_seed(hash(name) % 1000)  # the global generator is none of its business
        found[name] = trained(tmp_path / name, seed=seed, workers=workers)[0]
    assert same(found["one"], found["two"])
    assert not same(found["one"], found["other"])


def test_modes_leave_what_they_say(tmp_path: Path) -> None:
    before = backbone().state_dict()
    moved: dict[str, set[str]] = {}
    modes: tuple[Mode, ...] = ("fixed_feature", "fixed_weights", "full_network")
    for mode in modes:
        (tmp_path / mode).mkdir()
        whole = trained(tmp_path / mode, mode=mode)[0]
        after = whole[0].state_dict()
        moved[mode] = {name for name, value in before.items() if not torch.equal(value, after[name])}
        assert not whole.training
    parameters = {name for name, _ in backbone().named_parameters()}
    assert moved["fixed_feature"] == set()
    assert moved["fixed_weights"] == before.keys() - parameters - {"mean", "std"}
    assert moved["full_network"] == before.keys()


def test_each_epoch_sees_each_image_once(tmp_path: Path) -> None:
    task = Naming()
    trained(tmp_path, task, steps=None, epochs=4, batch=3, data=Dots(IDS[:6]))
    assert [len(batch) for batch in task.batches] == [3] * 8
    epochs = [[*first, *second] for first, second in zip(task.batches[::2], task.batches[1::2], strict=True)]
    assert all(sorted(epoch) == sorted(IDS[:6]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_set_smaller_than_a_batch_is_one_batch(tmp_path: Path) -> None:
    task = Naming()
    trained(tmp_path, task, batch=50, steps=2)
    assert [sorted(batch) for batch in task.batches] == [list(IDS)] * 2


def test_the_history_says_step_rate_and_every_part_of_the_loss(tmp_path: Path) -> None:
    _, history = trained(tmp_path)
    assert [row["step"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert [row["lr"] for row in history] == [rate_at(PRESET, step, steps=6) for step in range(6)]
    for row in history:
        assert row["loss"] == pytest.approx(row["entropy"] + row["size"], rel=1e-5)
    with (tmp_path / HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [{key: float(value) for key, value in row.items()} for row in rows] == history


def test_rows_are_means_of_the_steps_since_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "each").mkdir()
    (tmp_path / "few").mkdir()
    each = trained(tmp_path / "each", steps=7)[1]
    monkeypatch.setattr("models.transfer.train._ROWS", 2)
    few = trained(tmp_path / "few", steps=7)[1]
    assert [row["step"] for row in few] == [3, 6, 7]
    for row, steps in zip(few, (each[:3], each[3:6], each[6:]), strict=True):
        assert row["loss"] == pytest.approx(np.mean([step["loss"] for step in steps]), rel=1e-5)


def test_settings_stand_before_the_preset(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    said = trained(tmp_path / "one", lr=0.2, warmup=0, batch=2)
    meant = trained(tmp_path / "two", preset=replace(PRESET, lr=0.2, warmup=0, batch=2))
    assert same(said[0], meant[0]) and said[1] == meant[1]


def test_clipping_bounds_a_step(tmp_path: Path) -> None:
    before = backbone()
    plain = replace(PRESET, lr=1.0, weight_decay=0.0, warmup=0)
    after = trained(tmp_path, steps=1, clip=1e-3, preset=plain)[0][0]
    way = sum(
        float((now - then).detach().square().sum())
        for now, then in zip(after.parameters(), before.parameters(), strict=True)
    )
    assert 0 < way**0.5 <= 1e-3 * (1 + 1e-3)


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(InputError, match=r"state\.pt is of a training with other settings: remove it, or give another"):
        trained(tmp_path, steps=12)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    words = r"^the loss of naming is no longer a number by step 3: lower lr \(it is 0\.05\), raise warmup, or set clip$"
    with pytest.raises(InputError, match=words):
        trained(tmp_path, Naming(broken_at=3))
    assert trained(tmp_path)[1][-1]["step"] == 6  # what was kept before is sound


def test_what_the_set_says_of_a_broken_image_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^broken\.jpg is no image: fetch the set again$"):
        trained(tmp_path, data=Dots((*IDS, "broken")), steps=None, epochs=1, batch=2)


def test_a_training_has_one_length() -> None:
    with pytest.raises(ValidationError, match="as long as epochs or steps say: give one of them"):
        TrainSettings(mode="full_network", steps=3, epochs=2)


def test_images_are_decoded_once_where_there_is_room() -> None:
    batches = [[one] for one in IDS] * 3  # no image is wanted again while it is still being read
    data = Dots()
    found = list(Reader(data).batches(batches, workers=3))
    assert [[one.id for one in batch] for batch in found] == batches
    assert set(data.reads.values()) == {1}


def test_beyond_the_room_images_are_read_each_time() -> None:
    data = Dots()
    room = 2 * SIDE * SIDE * 3
    reader = Reader(data, room=room)
    for _ in range(3):
        for image_id in IDS:
            assert reader.keep(reader.read(image_id)).id == image_id
    assert sorted(data.reads.values()) == [1, 1, 3, 3, 3, 3, 3]


def test_masks_and_labels_take_room_too() -> None:
    mask = Instance(0, (0.0, 0.0, 4.0, 4.0), np.ones((SIDE, SIDE), bool))

    class Heavy(Dots):
        def read(self, image_id: str) -> LabelledImage:
            labels = np.zeros((SIDE, SIDE), np.uint8)
            return replace(super().read(image_id), instances=(mask, mask), labels=labels)

    data = Heavy()
    reader = Reader(data, room=6 * SIDE * SIDE)
    for _ in range(2):
        reader.keep(reader.read(IDS[0]))
        reader.keep(reader.read(IDS[1]))
    assert data.reads == {IDS[0]: 1, IDS[1]: 2}


def test_reading_stops_with_who_asked() -> None:
    data = Dots()
    batches = Reader(data, room=0).batches(([one] for one in IDS * 100), workers=1)
    next(batches)
    batches.close()
    assert sum(data.reads.values()) < 20
