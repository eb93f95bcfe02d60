"""What many accuracies under corruption come to: mPC, rPC, mean error and mCE, of what was run and nothing else.

Source: mCE is Hendrycks and Dietterich's 2019 (not their relative one); mPC and rPC are Michaelis et al.'s 2019. The
evaluator that is copied everywhere, mmdetection's `robustness_eval`, differs in two ways: there severities that were
not run count as 0, and the fifteen are the first fifteen of the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bgdata.corrupt.names import EXTRA_NAMES, NAMES, SEVERITIES, STANDARD_NAMES
from bgdata.errors import InputError
from models.evaluation.corruption_normalisers import ALEXNET, Normaliser

# A rate (an accuracy, or a detector's AP) by corruption and severity. What was not run is not there.
Cells = Mapping[str, Mapping[int, float]]


def corruption_summary(
    cells: Cells,
    *,
    clean: float | None,
    ece: Cells | None = None,
    normaliser: Normaliser = ALEXNET,
    region: str = "whole",
) -> dict[str, Any]:
    """The numbers of one model on one region of the photos, as a result holds them.

    `mpc` is the mean over the corruptions (of the fifteen) of the mean over the severities that were run; `rpc` is mpc
    over `clean`, the rate on clean photos (None where that is 0 or unknown); `mce` is the mean over corruptions of
    their mean error over the normaliser's, and None with the reason in `normaliser` where that has none. `ece`, of the
    same cells, is averaged as mpc is. `missing` names what is not there of the fifteen: a corruption (`frost`) or one
    severity of it (`frost 4`). The four further corruptions count apart (`extra`; None where none was run).

    Raises InputError where the cells name no corruption or severity, hold rates outside [0, 1], or the normaliser
    should have cells that it lacks.
    """
    _check(cells)
    standard = _of(cells, STANDARD_NAMES)
    mpc = _mean_over(standard)
    mce, said = _mean_corruption_error(standard, normaliser, region)
    missing = _missing(standard)
    return {
        "mpc": mpc,
        "rpc": mpc / clean if mpc is not None and clean else None,
        "mean_error": None if mpc is None else 1 - mpc,
        "mce": mce,
        "ece": None if ece is None else _mean_over(_of(ece, STANDARD_NAMES)),
        "normaliser": said,
        **_counts(standard),
        "missing": missing,
        "complete": not missing,
        "extra": _extra(_of(cells, EXTRA_NAMES), clean),
    }


def _extra(cells: Cells, clean: float | None) -> dict[str, Any] | None:
    mpc = _mean_over(cells)
    if mpc is None:
        return None
    return {"mpc": mpc, "rpc": mpc / clean if clean else None, **_counts(cells)}


def _mean_corruption_error(cells: Cells, normaliser: Normaliser, region: str) -> tuple[float | None, str | None]:
    """mCE with what it is normalised by; None with why there is none."""
    if not cells:
        return None, None
    errors, said = normaliser.errors({name: tuple(row) for name, row in cells.items()}, region=region)
    if errors is None:
        return None, said
    return fmean((1 - fmean(row.values())) / errors[name] for name, row in cells.items()), said


def _mean_over(cells: Cells) -> float | None:
    return fmean(fmean(row.values()) for row in cells.values()) if cells else None


def _of(cells: Cells, names: Sequence[str]) -> Cells:
    """The rows of some corruptions, in their published order; those without a severity count as not run."""
    return {name: cells[name] for name in names if cells.get(name)}


def _counts(cells: Cells) -> dict[str, int]:
    return {"corruptions": len(cells), "cells": sum(map(len, cells.values()))}


def _missing(cells: Cells) -> list[str]:
    missing = []
    for name in STANDARD_NAMES:
        lacking = [severity for severity in SEVERITIES if severity not in cells.get(name, {})]
        missing += [name] if len(lacking) == len(SEVERITIES) else [f"{name} {severity}" for severity in lacking]
    return missing


def _check(cells: Cells) -> None:
    for name, row in cells.items():
        for severity, rate in row.items():
            if name not in NAMES or severity not in SEVERITIES:
                raise InputError(
                    f"{name} {severity} is no corruption with a severity of 1 to 5: known are {', '.join(NAMES)}"
                )
            if not 0 <= rate <= 1:
                raise InputError(f"{name} {severity} is {rate}, expected a rate from 0 to 1: divide percent by 100")


@dataclass(frozen=True)
class MetricTable:
    """A metric on clean photos (None: not measured) and under corruptions, as fractions."""

    clean: float | None
    cells: dict[str, dict[int, float]]


def read_metric_table(record: Any, *metric: str, percent: bool = False, where: str = "the table") -> MetricTable:
    """A model's table as mmdetection's robustness evaluation keeps it: corruption -> severity 0 to 5 -> metrics.

    `metric` is the path to the number in a cell (`"bbox"`, or `"bbox", "AP"`; none: the cell is the number). Severity 0
    is the clean photos, once for each corruption. Cells without the metric count as not run.

    Raises InputError where it is no such table, a value is no rate (in percent, where said so), or the clean values
    differ.
    """
    cells: dict[str, dict[int, float]] = {}
    clean: dict[str, float] = {}
    if not isinstance(record, Mapping) or not all(isinstance(row, Mapping) for row in record.values()):
        raise InputError(f"{where} is no table corruption -> severity -> metric: give one model's")
    for name, row in record.items():
        for key, value in row.items():
            severity = _severity(name, key, where)
            rate = _rate(value, metric, percent=percent, where=f"{where}: {name} {severity}")
            if rate is not None and severity:
                cells.setdefault(name, {})[severity] = rate
            elif rate is not None:
                clean[name] = rate
    if len(set(clean.values())) > 1:
        low, high = min(clean, key=lambda name: clean[name]), max(clean, key=lambda name: clean[name])
        raise InputError(
            f"{where}: severity 0 is the clean photos, but {low} has {clean[low]} and {high} {clean[high]} there: "
            "give a table of one model"
        )
    return MetricTable(next(iter(clean.values()), None), cells)


def _severity(name: Any, key: Any, where: str) -> int:
    severities = (0, *SEVERITIES)
    if name not in NAMES or str(key) not in map(str, severities):
        raise InputError(
            f"{where}: {name} {key} is no corruption with a severity of 0 to 5: known are {', '.join(NAMES)}"
        )
    return int(key)


def _rate(value: Any, metric: tuple[str, ...], *, percent: bool, where: str) -> float | None:
    for key in metric:
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where} holds {type(value).__name__}, expected a number: name the metric's path")
    rate = value / 100 if percent else value
    if not 0 <= rate <= 1:
        raise InputError(
            f"{where} is {value}, expected {'0 to 100' if percent else '0 to 1'}: say whether the table is in percent"
        )
    return float(rate)
