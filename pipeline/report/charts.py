"""The charts as coordinates: percent of the drawing's width and height, so that they fit any screen unscaled."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bgdata.compose.names import VARIANTS
from pipeline.report.numbers import Results
from pipeline.report.table import Cell

COLOURS = 15  # of the style sheet: `c0` to `c14`; from `c8` on the hues of `c1` to `c7` again, lines dashed
Place = Callable[[int, float], tuple[float, float]]


@dataclass(frozen=True)
class Bar:
    """One recipe's bar in a variant's panel; `cell` is its accuracy, `hits` what it was counted from (of one seed)."""

    recipe: str
    colour: int
    cell: Cell
    hits: tuple[int, int] | None


@dataclass(frozen=True)
class Curve:
    """One recipe's line: runs of points `x,y` in percent (broken where training gave no finite number), and its end."""

    recipe: str
    colour: int
    runs: tuple[str, ...]
    end: tuple[float, float] | None
    last: float | None


@dataclass(frozen=True)
class CurveChart:
    """Lines over epochs; `ticks` are (percent from the top, value)."""

    curves: tuple[Curve, ...]
    ticks: tuple[tuple[float, float], ...]
    epochs: tuple[int, int]


def recipe_colours(results: Results) -> dict[str, int]:
    """Each recipe's colour: 0 (grey) is the baseline's alone."""
    others = [name for name in results.recipes if name != results.baseline]
    colours = {name: 1 + number % (COLOURS - 1) for number, name in enumerate(others)}
    return {name: colours.get(name, 0) for name in results.recipes}


def accuracy_panels(results: Results) -> dict[str, tuple[Bar, ...]]:
    """A panel a variant, a bar a recipe."""
    colours = recipe_colours(results)

    def bar(recipe: str, variant: str) -> Bar:
        score = results.in9[recipe]["variants"][variant]
        hits = (score["correct"], score["count"]) if len(results.seeds) == 1 else None
        return Bar(recipe, colours[recipe], results.cell(recipe, variant), hits)

    return {variant: tuple(bar(recipe, variant) for recipe in results.recipes) for variant in VARIANTS}


def curve_chart(results: Results, column: str, *, top: float | None = None) -> CurveChart:
    """A column of the histories over the epochs; `top` is the axis' upper end (default: a round number above all)."""
    values = {recipe: _values(rows, column) for recipe, rows in results.history.items()}
    epochs = [epoch for points in values.values() for epoch, _ in points]
    first, last = min(epochs), max(epochs)
    finite = [value for points in values.values() for _, value in points if math.isfinite(value)]
    step = round_step((top or max(finite, default=1.0)) / 4)
    upper = top or step * max(math.ceil(max(finite, default=step) / step - 1e-9), 1)

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = (epoch - first) / (last - first) if last > first else 1.0
        return round(100 * across, 2), round(100 - 100 * min(max(value / upper, 0.0), 1.0), 2)

    colours = recipe_colours(results)
    curves = tuple(_curve(recipe, colours[recipe], values[recipe], place) for recipe in results.recipes)
    ticks = tuple(
        (round(100 - 100 * number * step / upper, 2), number * step) for number in range(round(upper / step) + 1)
    )
    return CurveChart(curves, ticks, (first, last))


def round_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _curve(recipe: str, colour: int, points: Sequence[tuple[int, float]], place: Place) -> Curve:
    runs: list[list[str]] = [[]]
    for epoch, value in points:
        if math.isfinite(value):
            x, y = place(epoch, value)
            runs[-1].append(f"{x:g},{y:g}")
        elif runs[-1]:
            runs.append([])
    epoch, value = points[-1]
    end = place(epoch, value) if math.isfinite(value) else None
    return Curve(recipe, colour, tuple(" ".join(run) for run in runs if run), end, value if end else None)


def _values(rows: Sequence[Mapping[str, str]], column: str) -> list[tuple[int, float]]:
    return [(int(row["epoch"]), float(row[column] or "nan")) for row in rows]
