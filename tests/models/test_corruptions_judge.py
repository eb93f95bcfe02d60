"""Models on corrupted photos, from a source of them in memory."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.classes import plain_class_list
from bgdata.corrupt.corruptions import Corruption
from bgdata.corrupt.data import Chunk, CorruptedData
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import Row
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.evaluation.corruption_normalisers import OtherResult
from models.evaluation.corruptions import brief_score, corruption_score, judge_corruptions
from models.evaluation.statistics import expected_calibration_error

CPU = torch.device("cpu")
CELLS = (
    Corruption("snow", 4),
    Corruption("fog", 2),
    Corruption("fog", 1),
    Corruption("saturate", 1),
    Corruption("fog", 2, "background"),
)
PHOTOS = 18


class InMemory:
    """Photos of noise, darkened by a corruption's severity; counts how often each set is read."""

    source = "ours"

    def __init__(
        self, corruptions: Sequence[Corruption] = CELLS, *, has_clean: bool = True, digest: str = "0" * 64
    ) -> None:
        self.classes = IN9
        self.corruptions = corruptions
        self.record: dict[str, Any] = {"seed": 0}
        self.digest = digest
        self.read: Counter[str] = Counter()
        self.fails_at: str | None = None
        self.lacks: dict[str, int] = {}
        self._has_clean = has_clean
        self.rows = [Row(f"n{n}", "val", n % 9, "n0", f"00_dog/n{n}.JPEG") for n in range(PHOTOS)]

    def pixels(self, corruption: Corruption | None = None) -> np.ndarray:
        pixels = np.random.default_rng(1).integers(0, 256, (PHOTOS, 32, 32, 3), dtype=np.uint8)
        return pixels if corruption is None else np.uint8(pixels // (1 + corruption.severity)) + len(corruption.name)

    def clean(self) -> Iterator[Chunk] | None:
        return self._chunks("clean", self.pixels()) if self._has_clean else None

    def corrupted(self, corruption: Corruption) -> Iterator[Chunk]:
        return self._chunks(corruption.folder, self.pixels(corruption))

    def _chunks(self, place: str, pixels: np.ndarray) -> Iterator[Chunk]:
        self.read[place] += 1
        if place == self.fails_at:
            raise KeyboardInterrupt
        count = PHOTOS - self.lacks.get(place, 0)
        for start in range(0, count, 7):
            part = slice(start, min(start + 7, count))
            yield self.rows[part], pixels[part]


def make_model(seed: int) -> Judged:
    return judged_classifier(build_classifier("resnet10", input_size=32, seed=seed, classes=9), IN9)


@pytest.fixture(scope="module")
def models() -> dict[str, Judged]:
    return {"a": make_model(1), "b": make_model(2)}


def judge(models: dict[str, Judged], data: CorruptedData, work: Path, *, batch: int = 5) -> dict[str, dict[str, Any]]:
    judged = judge_corruptions(models, data, work, device=CPU, eval_batch=batch)
    return {name: corruption_score(found, data) for name, found in judged.items()}


def test_each_cell_is_read_once_for_all_and_judged_as_one_photo_at_a_time(
    models: dict[str, Judged], tmp_path: Path
) -> None:
    data = InMemory()
    scores = judge(models, data, tmp_path)
    assert data.read == Counter(["clean", *(cell.folder for cell in CELLS)])
    labels = np.arange(PHOTOS) % 9
    for name, model in models.items():
        for cell in (None, *CELLS):
            images = torch.from_numpy(data.pixels(cell)).permute(0, 3, 1, 2) / 255
            with torch.inference_mode():
                confidence, predicted = model(images).softmax(1).max(1)
            correct = predicted.numpy() == labels
            found = scores[name]["clean"]
            if cell is not None:
                found = scores[name]["regions"][cell.region]["corruptions"][cell.name][str(cell.severity)]
            assert (found["correct"], found["count"]) == (correct.sum(), PHOTOS)
            assert found["accuracy"] == pytest.approx(correct.mean())
            assert found["interval"][0] <= found["accuracy"] <= found["interval"][1]
            assert found["ece"] == pytest.approx(expected_calibration_error(confidence.numpy(), correct), abs=1e-5)
    assert scores["a"] != scores["b"]


def test_a_score_has_its_form_and_its_numbers(models: dict[str, Judged], tmp_path: Path) -> None:
    data = InMemory()
    score = judge(models, data, tmp_path)["a"]
    assert json.loads(json.dumps(score)) == score
    assert (score["source"], score["data_record"], score["images"]) == ("ours", {"seed": 0}, PHOTOS)
    assert (score["class_list"], score["chance"]) == (IN9.to_record(), 1 / 9)
    assert list(score["regions"]) == ["whole", "background"]
    whole = score["regions"]["whole"]
    assert {name: list(row) for name, row in whole["corruptions"].items()} == {
        "snow": ["4"],
        "fog": ["1", "2"],
        "saturate": ["1"],
    }
    accuracy = {name: [cell["accuracy"] for cell in row.values()] for name, row in whole["corruptions"].items()}
    summary = whole["summary"]
    assert summary["mpc"] == pytest.approx((accuracy["snow"][0] + np.mean(accuracy["fog"])) / 2)
    assert summary["rpc"] == pytest.approx(summary["mpc"] / score["clean"]["accuracy"])
    assert summary["extra"]["mpc"] == accuracy["saturate"][0]
    assert (summary["corruptions"], summary["cells"], summary["complete"]) == (2, 3, False)
    assert 0 < summary["ece"] < 1
    brief = brief_score(score)
    assert brief["clean"] == score["clean"]
    assert brief["regions"]["background"] == {
        "corruptions": {"fog": {"2": score["regions"]["background"]["corruptions"]["fog"]["2"]["accuracy"]}},
        "summary": score["regions"]["background"]["summary"],
    }


def test_batches_change_nothing(models: dict[str, Judged], tmp_path: Path) -> None:
    assert judge(models, InMemory(), tmp_path / "one", batch=1) == judge(
        models, InMemory(), tmp_path / "many", batch=64
    )


def test_a_killed_run_goes_on_with_the_next_cell(models: dict[str, Judged], tmp_path: Path) -> None:
    whole = judge(models, InMemory(), tmp_path / "whole")
    killed = InMemory()
    killed.fails_at = CELLS[2].folder
    with pytest.raises(KeyboardInterrupt):
        judge(models, killed, tmp_path / "work")
    further = InMemory()
    assert judge(models, further, tmp_path / "work") == whole
    assert further.read == Counter(cell.folder for cell in CELLS[2:])
    again = InMemory()
    assert judge(models, again, tmp_path / "work") == whole
    assert not again.read


def test_what_is_kept_is_of_one_model_and_one_data_set(models: dict[str, Judged], tmp_path: Path) -> None:
    judge({"a": models["a"]}, InMemory(CELLS[:2]), tmp_path)
    data = InMemory(CELLS[:2])
    assert set(judge(models, data, tmp_path)) == {"a", "b"}
    assert data.read == Counter(["clean", CELLS[0].folder, CELLS[1].folder])
    other = InMemory(CELLS[:2], digest="1" * 64)
    judge(models, other, tmp_path)
    assert len(other.read) == 3


def test_without_clean_photos_there_is_no_ratio(models: dict[str, Judged], tmp_path: Path) -> None:
    score = judge(models, InMemory(has_clean=False), tmp_path)["b"]
    assert (score["clean"], score["images"]) == (None, PHOTOS)
    assert score["regions"]["whole"]["summary"]["rpc"] is None
    assert score["regions"]["whole"]["summary"]["mpc"] is not None


def test_another_result_is_the_normaliser(models: dict[str, Judged], tmp_path: Path) -> None:
    data = InMemory()
    judged = judge_corruptions(models, data, tmp_path, device=CPU, eval_batch=64)
    base = corruption_score(judged["a"], data)
    score = corruption_score(judged["a"], data, normaliser=OtherResult(base, where="a.json"))
    for region in ("whole", "background"):
        assert score["regions"][region]["summary"]["mce"] == pytest.approx(1)
        assert score["regions"][region]["summary"]["normaliser"] == "a.json, at the severities that were run"
    few = OtherResult(corruption_score(replace(judged["a"], cells={}), data), where="few.json")
    with pytest.raises(InputError, match=r"few.json has no result of snow 4 and 2 more \(whole\)"):
        corruption_score(judged["a"], data, normaliser=few)


def test_data_that_cannot_be_judged_are_sentences(models: dict[str, Judged], tmp_path: Path) -> None:
    data = InMemory()
    data.lacks = {CELLS[1].folder: 1}
    with pytest.raises(InputError, match=r"^whole/fog/2 has 17 photos, but clean has 18: all cells must be of"):
        judge(models, data, tmp_path / "short")
    data.lacks = {"clean": PHOTOS}
    with pytest.raises(InputError, match=r"^clean holds no photos: make or download them again"):
        judge(models, data, tmp_path / "empty")
    data.classes = plain_class_list("letters", tuple("abcdefghi"))
    with pytest.raises(InputError, match=r"^the data has the classes letters .* but a has in9 .*: give both"):
        judge(models, data, tmp_path / "other")
