"""The report's page: one HTML file that needs nothing else, written from the results by templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bgdata.compose.names import FG_MASK
from pipeline.report import words
from pipeline.report.by_class import class_tables, confusions
from pipeline.report.charts import accuracy_panels, curve_chart, recipe_colours
from pipeline.report.correlation import CorrelationView
from pipeline.report.corruption_views import CorruptionView
from pipeline.report.digits import DigitResults
from pipeline.report.gallery import Gallery
from pipeline.report.inventory import Inventory, fewest
from pipeline.report.leaderboard import Leaderboard
from pipeline.report.leak import LeakView
from pipeline.report.numbers import Results, metrics
from pipeline.report.places import PlacesView
from pipeline.report.sweep import SweepChart
from pipeline.report.table import ABSENT, COLUMNS, SENSITIVITY, percent, results_table, rounded, typeset
from pipeline.report.transfer import NUMBERS
from pipeline.report.transfer_views import TransferView


@dataclass(frozen=True)
class Tile:
    """One number of the headline, beside the baseline's; all fractions."""

    label: str
    value: float | None
    baseline: float | None
    lower_is_better: bool = False

    @property
    def change(self) -> float | None:
        """The value less the baseline's."""
        return None if self.value is None or self.baseline is None else self.value - self.baseline


def render_page(
    results: Results,
    inventory: Inventory,
    gallery: Gallery,
    *,
    settings: Mapping[str, Any],
    board: Leaderboard,
    digits: DigitResults,
    sweep: SweepChart | None,
    corruptions: CorruptionView | None,
    transfer: TransferView | None,
    correlation: CorrelationView | None,
    leak: LeakView,
    places: PlacesView | None,
) -> str:
    """The page as text; the same inputs give the same bytes.

    `settings` are those of the report stage: `source` and `seed`.
    """
    common, single = split_provenance(results.provenance)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            results=results,
            inventory=inventory,
            gallery=gallery,
            settings=settings,
            board=board,
            digits=digits,
            tiles=headline_tiles(results),
            table=results_table(metrics(results)),
            columns=COLUMNS,
            sweep=sweep,
            corruptions=corruptions,
            transfer=transfer,
            correlation=correlation,
            leak=leak,
            places=places,
            numbers=NUMBERS,
            sensitivity=SENSITIVITY,
            best=best_by_column(results),
            colours=recipe_colours(results),
            panels=accuracy_panels(results),
            val_accuracy=curve_chart(results, "val_accuracy", top=1.0),
            train_loss=curve_chart(results, "train_loss"),
            provenance={"common": common, "single": single},
            classes=results.classes,
            class_tables=class_tables(results),
            confusions=confusions(results),
            words=words,
            fg_mask=FG_MASK,
        )
    )


def headline_tiles(results: Results) -> tuple[Tile, ...]:
    """The recipe that depends least on the background, beside the baseline where that is another recipe."""
    best = results.least_dependent
    other = results.baseline if results.baseline != best else None

    def tile(label: str, recipe_value: Any, *, lower_is_better: bool = False) -> Tile:
        return Tile(label, recipe_value(best), recipe_value(other) if other else None, lower_is_better)

    return (
        tile("BG-gap", results.bg_gap, lower_is_better=True),
        tile("challenge accuracy", results.challenge_accuracy),
        tile("accuracy on mixed_rand", lambda recipe: results.accuracy(recipe, "mixed_rand")),
        tile("accuracy on original", lambda recipe: results.accuracy(recipe, "original")),
    )


def best_by_column(results: Results) -> dict[str, float]:
    """The best number of each column that has a good direction (what is right from the background alone has none)."""
    columns = [variant for _, kind, variants in words.GROUPS if kind != "background" for variant in variants]
    found = {
        column: [value for recipe in results.recipes if (value := results.cell(recipe, column).value)]
        for column in (*columns, "challenge_accuracy", "worst_group_accuracy", SENSITIVITY)
    }
    best = {column: max(values) for column, values in found.items() if values}
    return best | {"bg_gap": results.bg_gap(results.least_dependent)}


def split_provenance(records: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Flat records: what all recipes share, and by key what they differ in (key -> recipe -> value)."""
    flat = {recipe: dict(_flatten(record)) for recipe, record in records.items()}
    keys = dict.fromkeys(key for record in flat.values() for key in record)
    values = {key: {recipe: record.get(key, "") for recipe, record in flat.items()} for key in keys}
    common = {key: next(iter(by.values())) for key, by in values.items() if len(set(by.values())) == 1}
    return common, {key: by for key, by in values.items() if key not in common}


def _flatten(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _written(value)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "count": count,
        "written": _written,
        "breakable": breakable,
        "decimal": decimal,
        "fewest": fewest,
    }
    return environment


def points(fraction: float | None) -> str:
    """A difference of two rates in percentage points, with its sign; a dash where it is absent."""
    if fraction is None:
        return ABSENT
    value = rounded(100 * fraction, 1)
    return typeset(f"{value:+.1f}") if value else "±0.0"


def decimal(value: float, digits: int = 2) -> str:
    """A number with so many digits; a dash where it is not finite."""
    return typeset(f"{rounded(value, digits):.{digits}f}") if isfinite(value) else ABSENT


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def count(number: int) -> str:
    """A count with its thousands set apart."""
    return f"{number:,}"


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(_written, value)) if isinstance(value, list | tuple) else str(value)
