"""Judge classifiers on photos under common corruptions: accuracy and calibration by corruption and severity.

A cell is one corruption at one severity on one region of the photos. Its pixels are made or decoded once and shown to
every model before the next cell's are: what costs most is shared by all recipes and seeds.

Source: Hendrycks and Dietterich 2019 (ImageNet-C); predictions are those of the judge of the variants.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from bgdata.classes import ClassList, check_same
from bgdata.corrupt.data import Chunk, CorruptedData
from bgdata.corrupt.names import NAMES, REGIONS, STANDARD_NAMES, Corruption
from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from models.classifiers.judged import Judged
from models.evaluation.accuracy import labels_of
from models.evaluation.corruption_normalisers import ALEXNET, Normaliser
from models.evaluation.corruption_numbers import corruption_summary
from models.evaluation.in9 import accuracy_summary, predict
from models.evaluation.statistics import expected_calibration_error

# Accuracy with its interval, counts and calibration of one cell.
Cell = dict[str, Any]


@dataclass(frozen=True)
class UnderCorruption:
    """A model's cells, and that of the clean photos (None: they were not at hand)."""

    class_list: ClassList
    clean: Cell | None
    cells: dict[Corruption, Cell]


def judge_corruptions(
    models: Mapping[str, Judged],
    data: CorruptedData,
    work: Path,
    *,
    device: torch.device,
    eval_batch: int,
    corruptions: Sequence[Corruption] | None = None,
) -> dict[str, UnderCorruption]:
    """Each model's accuracy on the clean photos and on the cells of the data (None: all of them), in float32.

    `work` keeps each model's result of a cell as soon as it is there: a killed run goes on with the next cell. What
    it keeps of the same data under a model's name is taken up, so a name must stand for one network for good (name it
    by its hash). The models stay on `device`.

    Raises InputError where a model and the data have different lists of classes, an image cannot be read, or the cells
    hold different numbers of photos.
    """
    classes = check_same({"the data": data.classes} | {name: model.labels for name, model in models.items()})
    for model in models.values():
        model.to(device).eval()
    kept = work / data.digest[:16]
    judge = _Judge(models, kept, device=device, eval_batch=eval_batch)
    clean = judge.cell("clean", data.clean)
    cells: dict[Corruption, dict[str, Cell]] = {}
    asked = data.corruptions if corruptions is None else corruptions
    with tqdm(asked, desc="corruptions", unit="cell", mininterval=1.0) as bar:
        for corruption in bar:
            bar.set_postfix_str(corruption.folder, refresh=False)
            cells[corruption] = judge.cell(corruption.folder, partial(data.corrupted, corruption))
    return {
        name: UnderCorruption(classes, clean.get(name), {corruption: cell[name] for corruption, cell in cells.items()})
        for name in models
    }


class _Judge:
    """Shows cells to all models, and keeps what comes out."""

    def __init__(self, models: Mapping[str, Judged], kept: Path, *, device: torch.device, eval_batch: int) -> None:
        self._models = models
        self._kept = kept
        self._run = {"device": device, "batch": eval_batch}
        self._first: tuple[str, int] | None = None

    def cell(self, place: str, chunks: Callable[[], Iterator[Chunk] | None]) -> dict[str, Cell]:
        """The cell that is kept at `place`, of each model; its photos are read where a model has not seen them.

        Empty where there are no photos.
        """
        files = {name: self._kept / place / f"{name}.json" for name in self._models}
        unseen = {name: self._models[name] for name, file in files.items() if not file.is_file()}
        found = chunks() if unseen else None
        if unseen and found is None:
            return {}
        for name, cell in _judge_cell(unseen, found or (), place, self._run).items():
            files[name].parent.mkdir(parents=True, exist_ok=True)
            write_text_whole(files[name], json.dumps(cell))
        cells = {name: json.loads(file.read_text()) for name, file in files.items()}
        for cell in cells.values():
            self._check_count(place, cell["count"])
        return cells

    def _check_count(self, place: str, count: int) -> None:
        """A mean over cells of different photos would be of nothing."""
        self._first = self._first or (place, count)
        if count != self._first[1]:
            raise InputError(
                f"{place} has {count} photos, but {self._first[0]} has {self._first[1]}: all cells must be of the same "
                "photos, make or download them again"
            )


def _judge_cell(
    models: Mapping[str, Judged], chunks: Iterator[Chunk] | tuple[()], place: str, run: Mapping[str, Any]
) -> dict[str, Cell]:
    correct: dict[str, list[np.ndarray]] = {name: [] for name in models}
    confidence: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for rows, pixels in chunks:
        labels = labels_of(rows)
        for name, model in models.items():
            predicted, _, probability = predict(model, pixels, **run)
            correct[name].append(predicted == labels)
            confidence[name].append(probability)
    if any(not parts for parts in correct.values()):
        raise InputError(f"{place} holds no photos: make or download them again")
    return {name: _cell(np.concatenate(correct[name]), np.concatenate(confidence[name])) for name in models}


def _cell(correct: np.ndarray, confidence: np.ndarray) -> Cell:
    return accuracy_summary(correct) | {"ece": expected_calibration_error(confidence, correct)}


def check_normaliser(normaliser: Normaliser, corruptions: Sequence[Corruption]) -> None:
    """Raise InputError where a normaliser lacks cells that are to be judged: before hours of judging, not after."""
    for region in {corruption.region for corruption in corruptions}:
        run: dict[str, list[int]] = {}
        for corruption in corruptions:
            if corruption.region == region and corruption.name in STANDARD_NAMES:
                run.setdefault(corruption.name, []).append(corruption.severity)
        normaliser.errors(run, region=region)


def corruption_score(
    judged: UnderCorruption, data: CorruptedData, *, normaliser: Normaliser = ALEXNET
) -> dict[str, Any]:
    """A model's cells as a score: by region the cells, and what they come to (`corruption_summary`).

    Raises InputError where the normaliser lacks cells.
    """
    clean = judged.clean
    counts = [cell["count"] for cell in ([clean] if clean else [*judged.cells.values()])]
    regions = {}
    for region in REGIONS:
        cells = _of_region(judged, region)
        if cells:
            regions[region] = {
                "corruptions": {
                    name: {str(severity): cell for severity, cell in row.items()} for name, row in cells.items()
                },
                "summary": corruption_summary(
                    _column(cells, "accuracy"),
                    clean=clean["accuracy"] if clean else None,
                    ece=_column(cells, "ece"),
                    normaliser=normaliser,
                    region=region,
                ),
            }
    return {
        "class_list": judged.class_list.to_record(),
        "chance": 1 / len(judged.class_list),
        "source": data.source,
        "data_record": data.record,
        "images": counts[0] if counts else 0,
        "clean": clean,
        "regions": regions,
    }


def brief_score(score: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a score for each seed: the clean photos, and by region each cell's accuracy and the summary."""
    regions = {
        region: {"corruptions": _column(found["corruptions"], "accuracy"), "summary": found["summary"]}
        for region, found in score["regions"].items()
    }
    return {"clean": score["clean"], "regions": regions}


def _of_region(judged: UnderCorruption, region: str) -> dict[str, dict[int, Cell]]:
    """By corruption and severity, both in their published order."""
    cells: dict[str, dict[int, Cell]] = {}
    for corruption in sorted(judged.cells, key=lambda each: (NAMES.index(each.name), each.severity)):
        if corruption.region == region:
            cells.setdefault(corruption.name, {})[corruption.severity] = judged.cells[corruption]
    return cells


def _column(cells: Mapping[str, Mapping[Any, Cell]], key: str) -> dict[str, dict[Any, float]]:
    return {name: {severity: cell[key] for severity, cell in row.items()} for name, row in cells.items()}
