"""The judge of transferred networks: one arithmetic for values and draws, pairs of draws, kills, seeds, bad input."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bgdata.corrupt.corruptions import Corruption
from bgdata.corrupt.names import NAMES
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.masks.rle import encode_rle
from bgdata.transfer_sets.base import BACKGROUND, VOID, Instance, LabelledImage, TaskSet
from models.evaluation.corruption_numbers import corruption_summary
from models.transfer.average_precision import measure
from models.transfer.backbones import FeatureNetwork
from models.transfer.class_accuracy import measure_accuracy
from models.transfer.judge import (
    BATCH,
    JudgedConditions,
    JudgeRun,
    TrainedNetwork,
    judge_transfer,
    load_networks,
    open_conditions,
)
from models.transfer.mean_iou import measure_iou
from models.transfer.pictures import draw_examples
from models.transfer.result_shapes import TransferScores
from models.transfer.summary import Measured, score_conditions, seed_draws, seed_values
from models.transfer.tasks import Scored, draw_counts

pytestmark = pytest.mark.usefixtures("one_thread", "few_draws")

CPU = torch.device("cpu")
SIZE = (40, 52)
CELLS = (Corruption("fog", 1), Corruption("fog", 4), Corruption("pixelate", 4), Corruption("spatter", 2))
CATEGORIES = {"classification": ("a", "b", "c"), "segmentation": (BACKGROUND, "dog"), "detection": ("cat", "dog")}
METRICS = {"classification": ("accuracy",), "segmentation": ("miou",), "detection": ("box_ap", "mask_ap")}


@dataclass
class Photos:
    """Eleven noisy images with an object each, true for any task; counts who was read."""

    task: str
    categories: tuple[str, ...]
    name: str = "photos/val"
    split: str = "val"
    digest: str = "of no file"
    ids: Sequence[str] = tuple(f"photo{number}" for number in range(11))
    reads: Counter[str] = field(default_factory=Counter)

    def read(self, image_id: str) -> LabelledImage:
        self.reads[image_id] += 1
        number = int(image_id.removeprefix("photo"))
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        mask = np.zeros(SIZE, bool)
        mask[8:20, 5 + number : 25 + number] = True
        labels = mask.astype(np.uint8)
        labels[:4] = VOID
        if self.task == "detection":
            box = (5.0 + number, 8.0, 25.0 + number, 20.0)
            return LabelledImage(image_id, pixels, (Instance(number % 2, box, mask),))
        label = number % 3 if self.task == "classification" else None
        instances = (Instance(0, (0.0, 0.0, 1.0, 1.0), mask),)
        return LabelledImage(image_id, pixels, instances, labels, label)


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw of a detector's scores costs a millisecond, with types checked."""
    monkeypatch.setattr("models.transfer.judge.draw_counts", partial(draw_counts, resamples=20))


class Killed(Exception):
    """As a kill comes."""


class Guessing:
    """A task whose networks answer by a hash of the pixels and of their own weight; notes the batches it is shown."""

    def __init__(self, name: str, *, killed_at: int | None = None) -> None:
        self.name, self.metrics = name, METRICS[name]
        self.killed_at = killed_at
        self.batches: list[list[str]] = []

    def build(self, backbone: FeatureNetwork, categories: int) -> nn.Module:
        raise NotImplementedError

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device) -> list[Any]:
        assert next(network.parameters()).device == device
        if len(self.batches) == self.killed_at:
            raise Killed
        self.batches.append([one.id for one in batch])
        assert isinstance(network, nn.Linear)
        return [self._guess(one, int(network.weight.item())) for one in batch]

    def score(self, predictions: Sequence[Any], truth: Iterable[LabelledImage], categories: Sequence[str]) -> Scored:
        if self.name == "classification":
            return measure_accuracy(predictions, truth, categories)
        if self.name == "segmentation":
            return measure_iou(predictions, truth, categories)
        return measure(predictions, truth, categories)

    def _guess(self, one: LabelledImage, weight: int) -> Any:
        rng = np.random.default_rng([weight, int(one.image.astype(np.int64).sum())])
        if self.name == "classification":
            return {"label": int(rng.integers(3)), "confidence": float(rng.random())}
        if self.name == "segmentation":
            return rng.integers(0, 2, SIZE).astype(np.uint8)
        found = []
        for score in sorted(rng.random(3).tolist(), reverse=True):
            x = float(rng.integers(4, 20))
            mask = np.zeros(SIZE, bool)
            mask[8:20, int(x) : int(x) + 20] = True
            box = [x, 8.0, 20.0, 12.0]
            label = int(rng.integers(1, 3))
            found.append({"category_id": label, "bbox": box, "score": score, "segmentation": encode_rle(mask)})
        return found


def photos(task: str = "classification") -> Photos:
    return Photos(task, CATEGORIES[task])


def network(task: Any, weight: int = 0, **changed: Any) -> TrainedNetwork:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, weight)
    record = {
        "task": task.name,
        "backbone_name": "original",
        "mode": "fixed_feature",
        "backbone": {"arch": "resnet8"},
        "categories": list(CATEGORIES[task.name]),
        "seed": weight,
    }
    return TrainedNetwork(task, module, record | changed, f"{weight:064d}")


def judged(
    folder: Path,
    networks: Sequence[TrainedNetwork],
    data: Photos | None = None,
    *,
    workers: int = 2,
    background: Any = "tiled",
    corruptions: Sequence[Corruption] = CELLS,
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    data = data or photos(networks[0].task.name)
    conditions = open_conditions(data, background=background, corruptions=corruptions, seed=3)
    return judge_transfer(networks, conditions, JudgeRun(CPU, workers, folder))


def test_the_fake_is_what_it_stands_for() -> None:
    assert isinstance(photos(), TaskSet)


@pytest.mark.parametrize("task", [*CATEGORIES])
def test_a_result_has_the_shape_and_says_every_condition(task: str, tmp_path: Path) -> None:
    score = judged(tmp_path, [network(Guessing(task))])
    scores = TransferScores.model_validate(json.loads(json.dumps(score)))
    assert scores.key == f"{task}-original-fixed_feature"
    assert (scores.images, scores.set, scores.background) == (11, "photos/val", "tiled")
    assert {name: [*row] for name, row in scores.corruptions.items()} == {
        "fog": ["1", "4"],
        "pixelate": ["4"],
        "spatter": ["2"],
    }
    assert (scores.constant is None) == (task == "detection")
    for metric, summary in scores.summary.items():
        assert (summary.corruptions, summary.cells, summary.complete) == (2, 3, False)
        cells = {
            name: {int(s): rates[metric].value for s, rates in row.items()} for name, row in scores.corruptions.items()
        }
        whole = corruption_summary(cells, clean=scores.clean[metric].value)  # type: ignore[arg-type]  # none is None
        assert (summary.mpc.value, summary.rpc.value) == (pytest.approx(whole["mpc"]), pytest.approx(whole["rpc"]))
        for estimate in (scores.clean[metric], summary.mpc):
            assert estimate.interval is not None
            assert estimate.interval[0] <= estimate.interval[1]


def test_workers_change_no_byte_and_images_come_in_batches_of_eight(tmp_path: Path) -> None:
    found = []
    for workers in (1, 4):
        task = Guessing("segmentation")
        found.append(json.dumps(judged(tmp_path / str(workers), [network(task)], workers=workers)))
        ids = [*photos().ids]
        assert task.batches == [ids[:BATCH], ids[BATCH:]] * 6
    assert found[0] == found[1]


def test_a_killed_judge_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = judged(tmp_path / "whole", [network(Guessing("detection"))])
    with pytest.raises(Killed):
        judged(tmp_path / "killed", [network(Guessing("detection", killed_at=5))])
    second = Guessing("detection")
    assert json.dumps(judged(tmp_path / "killed", [network(second)])) == json.dumps(whole)
    assert len(second.batches) == 8  # of twelve; two conditions were finished
    judged(tmp_path / "killed", [network(Guessing("detection", killed_at=0))])


def test_what_is_kept_of_others_is_not_taken_up(tmp_path: Path) -> None:
    judged(tmp_path, [network(Guessing("classification"))])
    for changed in ({"weight": 1}, {"digest": "another"}):
        task = Guessing("classification")
        data = replace(photos(), digest=changed.get("digest", "of no file"))
        judged(tmp_path, [network(task, int(changed.get("weight", 0)))], data)
        assert len(task.batches) == 12


@pytest.mark.parametrize("task", [*CATEGORIES])
def test_two_seeds_are_the_mean_of_each(task: str, tmp_path: Path) -> None:
    both = judged(tmp_path / "both", [network(Guessing(task), weight) for weight in (0, 1)])
    each = [judged(tmp_path / str(weight), [network(Guessing(task), weight)]) for weight in (0, 1)]
    assert both["seeds"] == [one["seeds"][0] for one in each]
    for metric in METRICS[task]:
        for number in ("mpc", "rpc", "swapped", "gap", "kept"):
            values = [one["summary"][metric][number]["value"] for one in each]
            assert both["summary"][metric][number]["value"] == pytest.approx(np.mean(values))
        assert both["clean"][metric]["value"] == pytest.approx(np.mean([one["clean"][metric]["value"] for one in each]))


def test_each_image_is_corrupted_once_for_all_seeds(tmp_path: Path) -> None:
    one, three = photos(), photos()
    judged(tmp_path / "one", [network(Guessing("classification"))], one, background=None)
    judged(tmp_path / "three", [network(Guessing("classification"), n) for n in range(3)], three, background=None)
    assert set(one.reads.values()) == {1 + len(CELLS)}  # the clean ones are kept: the truth of all is read there
    assert one.reads == three.reads


def test_without_a_background_nothing_is_swapped(tmp_path: Path) -> None:
    score = judged(tmp_path, [network(Guessing("classification"))], background=None)
    summary = score["summary"]["accuracy"]
    assert [score["swapped"], score["background"]] == [None, None]
    assert [summary[name] for name in ("swapped", "gap", "kept")] == [None] * 3
    assert "gap" not in score["seeds"][0]["values"]["accuracy"]


# No rate of images is nearer to 0, but for 0 itself.
rates = st.floats(1e-6, 1) | st.just(0.0)
drawn_cells = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.integers(1, 5)), st.tuples(rates, rates), min_size=1, max_size=12
)


def measured(values: Sequence[float]) -> Measured:
    """The value is the first draw."""
    return Measured({"ap": values[0]}, {"ap": np.array(values)}, {})


@settings(max_examples=60, deadline=None)
@given(drawn_cells, st.tuples(rates, rates))
def test_draws_go_through_the_arithmetic_of_values(
    cells: dict[tuple[str, int], tuple[float, float]], clean: tuple[float, float]
) -> None:
    conditions = {"clean": measured(clean), "swapped": measured(clean[::-1])}
    conditions |= {f"{name} {severity}": measured(values) for (name, severity), values in cells.items()}
    draws = seed_draws(conditions, "ap")
    for place in (0, 1):
        table: dict[str, dict[int, float]] = {}
        for (name, severity), values in cells.items():
            table.setdefault(name, {})[severity] = values[place]
        whole = corruption_summary(table, clean=clean[place])
        for number in ("mpc", "rpc"):
            expected = np.nan if whole[number] is None else whole[number]
            np.testing.assert_allclose(draws[number][place], expected, rtol=1e-12)
    for number, value in seed_values(conditions, "ap").items():
        np.testing.assert_allclose(draws[number][0], np.nan if value is None else value, rtol=1e-12)


def test_draws_without_truth_are_left_out() -> None:
    values = [0.5, np.nan, 0.25, 0.75]
    score = score_conditions([{"clean": measured(values), "fog 3": measured(values)}], ["ap"])
    assert score["clean"]["ap"] == {
        "value": 0.5,
        "interval": pytest.approx(np.quantile([0.5, 0.25, 0.75], (0.025, 0.975))),
    }
    assert score["summary"]["ap"]["rpc"] == {"value": 1.0, "interval": [1.0, 1.0]}


def test_no_truth_at_all_is_none() -> None:
    nothing = measured([np.nan, np.nan])
    score = score_conditions([{"clean": nothing, "swapped": nothing, "fog 3": nothing}], ["ap"])
    empty = {"value": None, "interval": None}
    assert score["clean"]["ap"] == score["swapped"]["ap"] == score["corruptions"]["fog"]["3"]["ap"] == empty
    assert [score["summary"]["ap"][name] for name in ("mpc", "rpc", "swapped", "gap", "kept")] == [empty] * 5


def test_a_seed_that_knows_nothing_leaves_no_ratio() -> None:
    seeds = [{"clean": measured([clean, clean]), "fog 3": measured([0.1, 0.1])} for clean in (0.0, 0.5)]
    summary = score_conditions(seeds, ["ap"])["summary"]["ap"]
    assert summary["rpc"] == {"value": None, "interval": None}
    assert summary["mpc"]["value"] == pytest.approx(0.1)


def test_identical_conditions_have_no_gap_in_any_draw(tmp_path: Path) -> None:
    data = photos("detection")
    conditions = JudgedConditions(data, {"swapped": replace(data, digest="a copy")}, "tiled", 3)
    score = judge_transfer([network(Guessing("detection"))], conditions, JudgeRun(CPU, 1, tmp_path))
    summary = score["summary"]["box_ap"]
    assert summary["gap"] == {"value": 0.0, "interval": [0.0, 0.0]}
    assert summary["kept"] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert score["clean"]["box_ap"]["interval"][0] < score["clean"]["box_ap"]["interval"][1]


def test_a_set_of_another_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the network is of detection, photos/val is a set for classification: give"):
        judged(tmp_path, [network(Guessing("detection"))], photos())


def test_a_set_of_other_categories_is_refused(tmp_path: Path) -> None:
    words = r"^the network knows 2 categories \(b, a\), photos/val has 3 \(a, b, c\): judge it on the set that it was"
    with pytest.raises(InputError, match=words):
        judged(tmp_path, [network(Guessing("classification"), categories=["b", "a"])])


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.pt is missing: train it \(dvc repro transfer_train\)"):
        load_networks([tmp_path / "model.pt"])


@pytest.mark.parametrize("task", [*CATEGORIES])
def test_examples_show_what_is_there_in_few_bytes(task: str) -> None:
    data = photos(task)
    conditions = open_conditions(data, background="telea", corruptions=CELLS, seed=3)
    guessing = Guessing(task)
    sheet = draw_examples(network(guessing), conditions, CPU, title="a title")
    assert sheet == draw_examples(network(Guessing(task)), conditions, CPU, title="a title")
    assert len(sheet) < 250_000
    assert len(guessing.batches) == 3
    assert {len(batch) for batch in guessing.batches} == {4}
    columns = 4 if task == "segmentation" else 3
    assert decode_image(sheet).shape[1] == 8 + columns * 228
