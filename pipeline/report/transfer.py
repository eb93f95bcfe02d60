"""What the judge of the transfer wrote of each network: read, checked, and as numbers for dvc's metrics and plots."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bgdata.errors import InputError
from models.transfer.result_shapes import DifferenceEstimate, Estimate, RatioEstimate, TransferScores
from pipeline.report.table import Cell

TRANSFER_COLUMNS = ("task", "backbone", "mode", "metric", "main", "seed", "condition", "clean", "shifted")
# What a metric comes to, and what the page calls it.
NUMBERS = {"clean": "clean", "mpc": "mPC", "rpc": "rPC", "swapped": "swapped", "gap": "gap", "kept": "kept"}
NumberOf = Callable[[TransferScores, str, str], float | None]
AnyEstimate = Estimate | RatioEstimate | DifferenceEstimate


def read_transfer(scores: Path, keys: Sequence[str]) -> dict[str, TransferScores]:
    """What the judge wrote of each `<task>-<backbone>-<mode>`.

    Raises InputError, naming the file and what to run, where one is missing, broken, of another network, or was judged
    on other images, shifts or seeds than the first of its task.
    """
    found = {key: _read_one(scores / "transfer" / key / "scores.json", key) for key in keys}
    firsts: dict[str, TransferScores] = {}
    for key, judged in found.items():
        first = firsts.setdefault(judged.task, judged)
        if _judged_on(judged) != _judged_on(first):
            raise InputError(
                f"{scores / 'transfer' / key / 'scores.json'} was judged on other images, corruptions, backgrounds, "
                f"metrics or seeds than {first.key} beside it: run `dvc repro --force {_stage(first.key)} "
                f"{_stage(key)}`"
            )
    return found


def estimate(found: TransferScores, metric: str, number: str) -> AnyEstimate | None:
    """One of NUMBERS with its interval; None where no background was swapped."""
    return found.clean[metric] if number == "clean" else getattr(found.summary[metric], number)


def spread(found: TransferScores, metric: str, number: str) -> float | None:
    """The standard deviation over the seeds; None of one seed."""
    return Cell.of(seed.values[metric].get(number) for seed in found.seeds).std


def transfer_rows(transfer: Mapping[str, TransferScores]) -> Iterator[dict[str, Any]]:
    """The rows of transfer.csv: a metric on clean images beside the same on shifted ones, by seed and shift.

    `condition` is `corrupted` (mPC) or `swapped`; `main` is `yes` of the task's main metric.
    """
    for found in transfer.values():
        for metric in found.metrics:
            for seed in found.seeds:
                values = seed.values[metric]
                row = {name: getattr(found, name) for name in ("task", "backbone", "mode")}
                row |= {"metric": metric, "main": "yes" if metric == found.metric else "no", "seed": seed.seed}
                for condition, number in (("corrupted", "mpc"), ("swapped", "swapped")):
                    if values.get("clean") is not None and values.get(number) is not None:
                        yield row | {"condition": condition, "clean": values["clean"], "shifted": values[number]}


def transfer_metrics(transfer: Mapping[str, TransferScores]) -> dict[str, Any]:
    """What metrics.json gains: `transfer`, and of several seeds `transfer_std`, by key and metric."""
    if not transfer:
        return {}
    gained = {"transfer": {key: _by_metric(found, _value) for key, found in transfer.items()}}
    if any(len(found.seeds) > 1 for found in transfer.values()):
        gained["transfer_std"] = {key: _by_metric(found, spread) for key, found in transfer.items()}
    return gained


def _by_metric(found: TransferScores, number_of: NumberOf) -> dict[str, dict[str, float]]:
    rows = {metric: {name: number_of(found, metric, name) for name in NUMBERS} for metric in found.metrics}
    return {metric: {name: value for name, value in row.items() if value is not None} for metric, row in rows.items()}


def _value(found: TransferScores, metric: str, number: str) -> float | None:
    known = estimate(found, metric, number)
    return None if known is None else known.value


def _read_one(path: Path, key: str) -> TransferScores:
    again = f"run `dvc repro --force {_stage(key)}`"
    try:
        found = TransferScores.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro {_stage(key)}`, or `dvc repro` for all") from None
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise InputError(f"{path} is no result of the transfer ({fault}): {again}") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}): {again}") from None
    if found.key != key:
        raise InputError(f"{path} is of {found.key}, not {key}: {again}")
    if (lacking := next(_lacking(found), None)) is not None:
        raise InputError(f"{path} lacks {lacking}: {again}")
    return found


def _lacking(found: TransferScores) -> Iterator[str]:
    """What a result should have of each of its metrics, and has not."""
    tables: dict[str, Mapping[str, Any]] = {"clean": found.clean, "summary": found.summary}
    if found.swapped is not None:
        tables["swapped"] = found.swapped
    for name, row in found.corruptions.items():
        tables |= {f"corruptions.{name}.{severity}": rates for severity, rates in row.items()}
    tables |= {f"seeds.{seed.seed}": seed.values for seed in found.seeds}
    for name, table in tables.items():
        yield from (f"{name}.{metric}" for metric in found.metrics if metric not in table)
    if found.swapped is not None:
        yield from (f"summary.{metric}.swapped" for metric in found.metrics if found.summary[metric].swapped is None)


def _judged_on(found: TransferScores) -> tuple[Any, ...]:
    cells = sorted((name, severity) for name, row in found.corruptions.items() for severity in row)
    seeds = [seed.seed for seed in found.seeds]
    return found.set, found.split, found.images, found.background, found.swapped is None, found.metrics, cells, seeds


def _stage(key: str) -> str:
    return f"transfer_evaluate@{key}"
