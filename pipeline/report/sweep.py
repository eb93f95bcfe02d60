"""Accuracy against p, the probability with which dynamic replacement gives an image another background."""

import csv
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bgdata.errors import InputError
from pipeline.report.numbers import Results
from pipeline.report.table import ABSENT, Cell, markdown_table

SWEEP_COLUMNS = ("recipe", "p", "variant", "accuracy")
SWEPT = ("original", "mixed_rand", "only_fg")


@dataclass(frozen=True)
class SweepChart:
    """Lines by variant, dots `(x, y)` in percent of the drawing's width and height, and the values of p below them."""

    lines: Mapping[str, Sequence[tuple[float, float]]]
    values: Sequence[tuple[float, float]]


def replacement_probabilities(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """p of the recipes that are equal but for it: backgrounds by any_class with a number for p, or none at all (p = 0).

    `recipes` are resolved settings (`recipe`, `train`). Of several such families it is the one with most values of p,
    of equals the first; none where no recipe replaces by any_class.
    """
    families: dict[str, dict[str, float]] = {}
    replacing: set[str] = set()
    for name, settings in recipes.items():
        background = settings["recipe"]["background"] or {"by": "any_class", "p": 0.0, "choices": None}
        p = background["p"]
        if background["by"] == "any_class" and isinstance(p, int | float):
            others = {key: value for key, value in settings["recipe"].items() if key not in ("name", "background")}
            family = json.dumps([others, background["choices"], settings["train"]], sort_keys=True)
            families.setdefault(family, {})[name] = float(p)
            if settings["recipe"]["background"]:
                replacing.add(family)
    found = [family for name, family in families.items() if name in replacing]
    return max(found, key=lambda family: len(set(family.values())), default={})


def sweep_rows(results: Results, probabilities: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """The rows of p_sweep.csv, by p: each recipe's accuracy on the three variants, mean over the seeds."""
    for recipe, p in sorted(probabilities.items(), key=lambda item: item[1]):
        for variant in SWEPT:
            yield {"recipe": recipe, "p": p, "variant": variant, "accuracy": results.accuracy(recipe, variant)}


def read_sweep(text: str, source: str) -> list[dict[str, Any]]:
    """The rows of a p_sweep.csv.

    Raises InputError, naming the source, where it is none.
    """
    rows = list(csv.DictReader(text.splitlines()))
    try:
        return [row | {"p": float(row["p"]), "accuracy": float(row["accuracy"])} for row in rows if row["variant"]]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{source} is no p_sweep.csv: expected columns {', '.join(SWEEP_COLUMNS)}") from None


def accuracy_by_p(rows: Iterable[Mapping[str, Any]]) -> dict[float, dict[str, Cell]]:
    """The cells by p and variant, p rising: the mean over the rows of a p, and their spread where they differ."""
    found: dict[float, dict[str, list[float]]] = {}
    for row in sorted(rows, key=lambda row: row["p"]):
        found.setdefault(row["p"], {}).setdefault(row["variant"], []).append(row["accuracy"])
    return {p: {variant: _cell(values) for variant, values in by.items()} for p, by in found.items()}


def sweep_chart(rows: Iterable[Mapping[str, Any]]) -> SweepChart | None:
    """The chart, p from 0 to 1 across and accuracy from 0 to 1 up; None where there are less than two values of p."""
    table = accuracy_by_p(rows)
    if len(table) < 2:
        return None
    lines = {
        variant: [
            (round(100 * p, 2), round(100 - 100 * (cells[variant].value or 0.0), 2))
            for p, cells in table.items()
            if variant in cells
        ]
        for variant in SWEPT
    }
    return SweepChart(lines, [(round(100 * p, 2), p) for p in table])


def render_sweep(rows: Iterable[Mapping[str, Any]]) -> str:
    """The table as Markdown: a row for each p."""
    table = accuracy_by_p(rows)
    body = [
        [f"{p:g}", *(cells[variant].text if variant in cells else ABSENT for variant in SWEPT)]
        for p, cells in table.items()
    ]
    return markdown_table(["p", *SWEPT], body)


def draw_sweep(rows: Iterable[Mapping[str, Any]]) -> str:
    """The chart as an SVG file of its own; the same rows give the same bytes.

    Raises InputError where there are less than two values of p.
    """
    chart = sweep_chart(rows)
    if chart is None:
        raise InputError(
            "there are less than two values of p to draw: name more experiments, each with its own train.p"
        )
    environment = Environment(
        loader=PackageLoader("pipeline.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("sweep.svg.j2").render(chart=chart) + "\n"


def _cell(values: Sequence[float]) -> Cell:
    return Cell(statistics.fmean(values), statistics.stdev(values) if len(set(values)) > 1 else None)
