"""Judges one or several seeds' networks of a task: on clean images, corrupted ones, and other images' backgrounds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import nn
from tqdm import tqdm

from bgdata.corrupt.names import Corruption
from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from bgdata.transfer_sets.base import LabelledImage, TaskSet, digest_of
from bgdata.transfer_sets.shifts import Corrupted, Fill, SwappedBackground
from models.devices import exact_arithmetic
from models.transfer.checkpoints import load_transfer
from models.transfer.reading import Reader
from models.transfer.result_shapes import TransferScores
from models.transfer.summary import CLEAN, SWAPPED, Conditions, Measured, cell_name, score_conditions, seed_values
from models.transfer.tasks import Scored, Task, draw_counts
from models.weights.files import file_sha256

# Always so many images at once, in the order of the ids: what a network says of an image may depend on the others.
BATCH = 8
# Of the details, what is large or stands elsewhere in a result.
_LEFT_OUT = ("confusion", "constant")


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network as its checkpoint holds it."""

    task: Task
    network: nn.Module
    record: Mapping[str, Any]
    sha256: str


@dataclass(frozen=True)
class JudgeRun:
    """On what device, with how many threads that read images, and in which folder finished conditions are kept."""

    device: torch.device
    workers: int
    folder: Path


@dataclass(frozen=True)
class JudgedConditions:
    """What a judge takes each network through: sets of the same images by condition; `seed` is the data's."""

    clean: TaskSet
    shifted: Mapping[str, TaskSet]
    background: Fill | None
    seed: int

    @property
    def all(self) -> dict[str, TaskSet]:
        """The clean images first."""
        return {CLEAN: self.clean} | dict(self.shifted)


def open_conditions(
    data: TaskSet, *, background: Fill | None, corruptions: Sequence[Corruption], seed: int
) -> JudgedConditions:
    """The conditions of a set; `background` None: none is swapped.

    Raises InputError where backgrounds cannot be swapped (see `SwappedBackground`).
    """
    shifted: dict[str, TaskSet] = {}
    if background is not None:
        shifted[SWAPPED] = SwappedBackground(data, seed, background)
    shifted |= {cell_name(one.name, one.severity): Corrupted(data, one, seed) for one in corruptions}
    return JudgedConditions(data, shifted, background, seed)


def load_networks(paths: Sequence[Path]) -> list[TrainedNetwork]:
    """The networks of checkpoints, one a seed.

    Raises InputError as `load_transfer` does, and where they are of different tasks.
    """
    networks = [TrainedNetwork(*load_transfer(path), file_sha256(path)) for path in paths]
    for path, one in zip(paths, networks, strict=True):
        if _of(one) != _of(networks[0]):
            raise InputError(
                f"{path} is of {_of(one)}, the first seed's checkpoint of {_of(networks[0])}: train the seeds alike"
            )
    return networks


def judge_transfer(networks: Sequence[TrainedNetwork], conditions: JudgedConditions, run: JudgeRun) -> dict[str, Any]:
    """Judge the networks of all seeds under all conditions; returns what `TransferScores` is the shape of.

    Each image of a condition is read (and corrupted) once, for all networks. Finished conditions are kept in the run's
    folder: a killed judge goes on behind them, to the same numbers.

    Raises InputError where the networks are not of the set's task and categories, or an image cannot be read.
    """
    data, first = conditions.clean, networks[0]
    for one in networks:
        _check(one, data)
    seeds = _measure_all(networks, conditions, run)
    metrics = first.task.metrics
    score = {
        "task": first.task.name,
        "backbone": first.record["backbone_name"],
        "mode": first.record["mode"],
        "set": data.name,
        "digest": data.digest,
        "split": data.split,
        "data_seed": conditions.seed,
        "images": len(data.ids),
        "metrics": list(metrics),
        "record": first.record["backbone"],
        "constant": _constant(seeds[0][CLEAN], metrics),
        "background": conditions.background,
        **score_conditions(seeds, metrics),
        "seeds": [_of_seed(*each, metrics) for each in zip(networks, seeds, strict=True)],
    }
    TransferScores.model_validate(score)
    return score


def _check(one: TrainedNetwork, data: TaskSet) -> None:
    if one.task.name != data.task:
        raise InputError(
            f"the network is of {one.task.name}, {data.name} is a set for {data.task}: give a set of the same task"
        )
    categories = tuple(one.record["categories"])
    if categories != tuple(data.categories):
        raise InputError(
            f"the network knows {len(categories)} categories ({_some(categories)}), {data.name} has "
            f"{len(data.categories)} ({_some(data.categories)}): judge it on the set that it was trained for"
        )


def _measure_all(
    networks: Sequence[TrainedNetwork], conditions: JudgedConditions, run: JudgeRun
) -> list[dict[str, Measured]]:
    """Of each network what it is under each condition."""
    # The truth of all conditions is that of the clean images, which stay decoded as far as there is room.
    truth = Reader(conditions.clean)
    counts = draw_counts(len(conditions.clean.ids), seed=conditions.seed)
    seeds: list[dict[str, Measured]] = [{} for _ in networks]
    files = {
        name: run.folder / f"{_identity(networks, one, conditions.seed)}.json" for name, one in conditions.all.items()
    }
    left = [name for name, file in files.items() if not file.is_file()]
    for one in networks:
        one.network.to(run.device)
    total = len(left) * len(conditions.clean.ids)
    with tqdm(total=total, desc=conditions.clean.task, unit="image", mininterval=1.0) as bar, exact_arithmetic():
        for name, data in conditions.all.items():
            if name in left:
                bar.set_postfix_str(name, refresh=False)
                found = _measure(networks, data, truth, counts, run, bar)
                write_text_whole(files[name], json.dumps([_to_json(one) for one in found]))
            for seed, kept in zip(seeds, json.loads(files[name].read_text()), strict=True):
                seed[name] = _from_json(kept)
    return seeds


def _measure(
    networks: Sequence[TrainedNetwork],
    data: TaskSet,
    truth: Reader,
    counts: Int64[np.ndarray, "r n"],
    run: JudgeRun,
    bar: "tqdm[Any]",
) -> list[Measured]:
    """Each network under one condition."""
    predictions: list[list[Any]] = [[] for _ in networks]
    reader = truth if data is truth.data else Reader(data, room=0)
    for batch in reader.batches(_batches(data.ids), workers=run.workers):
        for one, said in zip(networks, predictions, strict=True):
            said += one.task.predict(one.network, batch, device=run.device)
        bar.update(len(batch))
    return [
        _measured(one.task.score(said, _read(truth, data.ids, run), data.categories), counts)
        for one, said in zip(networks, predictions, strict=True)
    ]


def _measured(scored: Scored, counts: Int64[np.ndarray, "r n"]) -> Measured:
    return Measured(scored.values, scored.resampled(counts), getattr(scored, "details", {}))


def _read(truth: Reader, ids: Sequence[str], run: JudgeRun) -> Iterator[LabelledImage]:
    for batch in truth.batches(_batches(ids), workers=run.workers):
        yield from batch


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _identity(networks: Sequence[TrainedNetwork], data: TaskSet, seed: int) -> str:
    """What a condition's numbers are of: so no stale ones are taken up."""
    return digest_of([data.digest, str(seed), *(one.sha256 for one in networks)])[:24]


def _to_json(one: Measured) -> dict[str, Any]:
    draws = {metric: found.tolist() for metric, found in one.draws.items()}
    return {"values": one.values, "draws": draws, "details": one.details}


def _from_json(kept: Mapping[str, Any]) -> Measured:
    draws = {metric: np.array(found, np.float64) for metric, found in kept["draws"].items()}
    return Measured(kept["values"], draws, kept["details"])


def _of_seed(one: TrainedNetwork, conditions: Conditions, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "seed": one.record["seed"],
        "checkpoint_sha256": one.sha256,
        "values": {metric: seed_values(conditions, metric) for metric in metrics},
        "details": {name: value for name, value in conditions[CLEAN].details.items() if name not in _LEFT_OUT},
    }


def _constant(clean: Measured, metrics: Sequence[str]) -> dict[str, float] | None:
    """What the best answer that looks at nothing gets; None where there is none."""
    constant = clean.details.get("constant")
    return None if constant is None else {metric: constant[metric] for metric in metrics if metric in constant}


def _of(one: TrainedNetwork) -> str:
    return f"{one.task.name} on {one.record['backbone_name']} ({one.record['mode']})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
