"""Accuracy against the strength of the correlation between class and background that recipes were trained with."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgdata.compose.names import correlated_set
from pipeline.report.numbers import Results
from pipeline.report.sweep import SweepChart
from pipeline.report.table import Cell

CORRELATION_COLUMNS = ("recipe", "correlation", "measure", "accuracy")
# By the columns of the results that they are.
MEASURES = {"original": "original", "mixed_rand": "mixed_rand", "worst group": "worst_group_accuracy"}


@dataclass(frozen=True)
class CorrelationView:
    """What the page shows: a row a recipe (its name, correlation, source of backgrounds, cells by measure), by
    correlation, and a chart for each family of recipes that are equal but for it, by the first one's name.
    """

    rows: Sequence[tuple[str, float, str, Mapping[str, Cell]]]
    charts: Mapping[str, SweepChart]


def correlation_view(results: Results, settings: Mapping[str, Any]) -> CorrelationView | None:
    """The recipes that were trained on a correlated set; None where there is none. `settings` are the report's."""
    sets = {correlated_set(name): each for name, each in settings["correlated"].items()}
    resolved = {name: each for name, each in settings["recipes"].items() if each["recipe"]["data"] in sets}
    if not resolved:
        return None
    rows = []
    for name, each in resolved.items():
        made = sets[each["recipe"]["data"]]
        cells = {measure: results.cell(name, column) for measure, column in MEASURES.items()}
        rows.append((name, made["correlation"], made["background_from"], cells))
    rows.sort(key=lambda row: row[1])
    charts = {}
    for names in _families(resolved, sets):
        family = [(correlation, cells) for name, correlation, _, cells in rows if name in names]
        if len({correlation for correlation, _ in family}) > 1:
            charts[names[0]] = _chart(family)
    return CorrelationView(rows, charts)


def correlation_rows(view: CorrelationView | None) -> Iterator[dict[str, Any]]:
    """The rows of correlation.csv."""
    for name, correlation, _, cells in view.rows if view else ():
        for measure, cell in cells.items():
            if cell.value is not None:
                yield {"recipe": name, "correlation": correlation, "measure": measure, "accuracy": cell.value}


def _families(resolved: Mapping[str, Any], sets: Mapping[str, Any]) -> Iterable[list[str]]:
    """The names of recipes that are equal but for the correlation."""
    families: dict[str, list[str]] = {}
    for name, each in resolved.items():
        made = {key: value for key, value in sets[each["recipe"]["data"]].items() if key != "correlation"}
        parts = {key: value for key, value in each["recipe"].items() if key not in ("name", "data")}
        families.setdefault(json.dumps([parts, made, each["train"]], sort_keys=True), []).append(name)
    return families.values()


def _chart(family: Sequence[tuple[float, Mapping[str, Cell]]]) -> SweepChart:
    """Correlation from 0 to 1 across, accuracy from 0 to 1 up."""
    lines = {
        measure: [
            (round(100 * correlation, 2), round(100 - 100 * value, 2))
            for correlation, cells in family
            if (value := cells[measure].value) is not None
        ]
        for measure in MEASURES
    }
    values = dict.fromkeys(correlation for correlation, _ in family)
    return SweepChart(lines, [(round(100 * correlation, 2), correlation) for correlation in values])
