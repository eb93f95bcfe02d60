"""What the conditions of a transferred network come to: means over seeds, and intervals over images of those means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from bgdata.corrupt.names import STANDARD_NAMES
from models.evaluation.corruption_numbers import corruption_summary

Draws = Float64[np.ndarray, " r"]
CLEAN, SWAPPED = "clean", "swapped"


@dataclass(frozen=True)
class Measured:
    """One network under one condition: each metric, what it is of draws of the images, and what stands beside it."""

    values: Mapping[str, float]
    draws: Mapping[str, Draws]
    details: Mapping[str, Any]


# One network under all conditions. A corruption's cell is called `fog 3`.
Conditions = Mapping[str, Measured]


def cell_name(corruption: str, severity: int) -> str:
    """What the condition of a corruption at a severity is called."""
    return f"{corruption} {severity}"


def score_conditions(seeds: Sequence[Conditions], metrics: Sequence[str]) -> dict[str, Any]:
    """The parts of a result that are numbers of all seeds: `clean`, `swapped`, `corruptions` and `summary`.

    The draws of all seeds and conditions must be the same, so that differences and ratios are of pairs.
    """
    corruptions: dict[str, dict[str, Any]] = {}
    for condition in seeds[0]:
        if condition not in (CLEAN, SWAPPED):
            corruption, severity = condition.split()
            corruptions.setdefault(corruption, {})[severity] = _rates(seeds, condition, metrics)
    return {
        "clean": _rates(seeds, CLEAN, metrics),
        "swapped": _rates(seeds, SWAPPED, metrics) if SWAPPED in seeds[0] else None,
        "corruptions": corruptions,
        "summary": {metric: _summary(seeds, metric) for metric in metrics},
    }


def seed_values(conditions: Conditions, metric: str) -> dict[str, float | None]:
    """One seed's numbers in a metric: clean, mpc, rpc, and, where backgrounds were swapped, swapped, gap and kept."""
    clean = conditions[CLEAN].values[metric]
    whole = corruption_summary(_cells(conditions, metric), clean=clean)
    numbers = {CLEAN: _or_none(clean), "mpc": whole["mpc"], "rpc": whole["rpc"]}
    if SWAPPED in conditions:
        swapped = conditions[SWAPPED].values[metric]
        kept = swapped / clean if clean else None
        numbers |= {SWAPPED: _or_none(swapped), "gap": _or_none(clean - swapped), "kept": _or_none(kept)}
    return numbers


def seed_draws(conditions: Conditions, metric: str) -> dict[str, Draws]:
    """`seed_values` of each draw; NaN where `seed_values` has None."""
    clean = conditions[CLEAN].draws[metric]
    rows: dict[str, list[Draws]] = {}
    for condition, measured in conditions.items():
        if (corruption := condition.split()[0]) in STANDARD_NAMES:
            rows.setdefault(corruption, []).append(measured.draws[metric])
    mpc = np.mean([np.mean(row, axis=0) for row in rows.values()], axis=0) if rows else np.full(len(clean), np.nan)
    numbers = {CLEAN: clean, "mpc": mpc, "rpc": _ratio(mpc, clean)}
    if SWAPPED in conditions:
        swapped = conditions[SWAPPED].draws[metric]
        numbers |= {SWAPPED: swapped, "gap": clean - swapped, "kept": _ratio(swapped, clean)}
    return numbers


def _summary(seeds: Sequence[Conditions], metric: str) -> dict[str, Any]:
    values = [seed_values(seed, metric) for seed in seeds]
    draws = [seed_draws(seed, metric) for seed in seeds]
    counted = corruption_summary(_cells(seeds[0], metric), clean=None)
    summary = {
        name: _estimate([of_seed[name] for of_seed in values], [of_seed[name] for of_seed in draws])
        if name in values[0]
        else None
        for name in ("mpc", "rpc", SWAPPED, "gap", "kept")
    }
    return summary | {name: counted[name] for name in ("corruptions", "cells", "complete")}


def _rates(seeds: Sequence[Conditions], condition: str, metrics: Sequence[str]) -> dict[str, Any]:
    found = [seed[condition] for seed in seeds]
    return {
        metric: _estimate([one.values[metric] for one in found], [one.draws[metric] for one in found])
        for metric in metrics
    }


def _estimate(values: Sequence[float | None], draws: Sequence[Draws]) -> dict[str, Any]:
    """The mean over seeds and its 95 % interval; None where a seed has no value, or no draw has one."""
    known = [value for value in values if value is not None]
    mean = _or_none(float(np.mean(known))) if len(known) == len(values) else None
    each = np.mean(draws, axis=0)
    each = each[~np.isnan(each)]
    has_interval = mean is not None and each.size
    return {"value": mean, "interval": np.quantile(each, (0.025, 0.975)).tolist() if has_interval else None}


def _cells(conditions: Conditions, metric: str) -> dict[str, dict[int, float]]:
    """The corruptions' values as `corruption_summary` takes them, without those that have no truth."""
    cells: dict[str, dict[int, float]] = {}
    for condition, measured in conditions.items():
        if condition not in (CLEAN, SWAPPED) and not np.isnan(measured.values[metric]):
            corruption, severity = condition.split()
            cells.setdefault(corruption, {})[int(severity)] = measured.values[metric]
    return cells


def _ratio(part: Draws, whole: Draws) -> Draws:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _or_none(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value
