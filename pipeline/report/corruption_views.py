"""The corruptions as the page shows them: what is best, which part of a photo must be clean, BG-gap against rPC."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.report.charts import recipe_colours, round_step
from pipeline.report.corruption_strip import corruption_strip
from pipeline.report.corruptions import CorruptionScores
from pipeline.report.numbers import Results
from pipeline.report.table import Cell, rounded

_ALIKE = 1.0  # points of mPC: less is called no difference
# Percent of the drawing: how high a line of a label is, how wide a letter, and how far a dot reaches.
_LINE, _LETTER, _DOT = 5.5, 0.95, 1.2


@dataclass(frozen=True)
class Point:
    """One recipe of the scatter: mean and seeds as `(x, y)` in percent of the drawing; its label goes to the right of
    the mean, or to the left (`is_left`), `label` down.
    """

    recipe: str
    colour: int
    place: tuple[float, float]
    seeds: tuple[tuple[float, float], ...]
    bg_gap: Cell
    rpc: Cell
    is_left: bool = False
    label: float = 0.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What the label takes: left, top, right, bottom."""
        x, width = self.place[0], _LETTER * len(self.recipe)
        left = x - _DOT - width if self.is_left else x + _DOT
        return left, self.label - _LINE / 2, left + width, self.label + _LINE / 2

    @property
    def is_inside(self) -> bool:
        """Whether the label lies inside the drawing, from side to side."""
        return self.box[0] >= 0 and self.box[2] <= 100

    def keeps_clear_of(self, other: "Point") -> bool:
        """Whether the label lies on none of the other's dots (of its own: on no seed's), and not on its label."""
        taken = [_around(*place) for place in other.seeds]
        if other is not self:
            taken += [_around(*other.place), other.box]
        return not any(_overlap(self.box, box) for box in taken)


@dataclass(frozen=True)
class Scatter:
    """BG-gap across and rPC up; ticks are (percent of the drawing, value); `without` have no rPC."""

    points: tuple[Point, ...]
    across: tuple[tuple[float, float], ...]
    up: tuple[tuple[float, float], ...]
    without: tuple[str, ...]


@dataclass(frozen=True)
class CorruptionView:
    """All that the section shows of the results beside the numbers themselves; `some` is any recipe's result, `order`
    that of the heat maps.
    """

    some: CorruptionScores
    order: tuple[str, ...]
    names: frozenset[str]
    severities: tuple[str, ...]
    best: Mapping[str, float]
    normalisers: Mapping[str, Sequence[str]]
    foreign_normaliser: bool
    needs: Mapping[str, str | None]
    scatter: Scatter | None
    strip: str | None


def read_corruption_view(sets: Path, stored: Path, results: Results) -> CorruptionView | None:
    """What the page shows, with the strip of pictures (`corruption_strip`); None where no corruptions were run.

    Raises InputError where a set lacks the photo that is shown.
    """
    found = results.corruptions
    if not found:
        return None
    some = next(iter(found.values()))
    region = some.shown_regions[0]
    said = {
        part: tuple(dict.fromkeys(one.regions[part].summary.normaliser or "none" for one in found.values()))
        for part in some.shown_regions
    }
    return CorruptionView(
        some=some,
        order=tuple(dict.fromkeys((*results.compared, *results.recipes))),
        names=frozenset(name for _, name, _ in some.cells()),
        severities=tuple(sorted({severity for _, _, severity in some.cells()})),
        best=_best(found.values(), region),
        normalisers=said,
        foreign_normaliser=any("1,000 classes" in name for name in said[region]) and len(results.classes) != 1000,
        needs={recipe: needs_clean(one) for recipe, one in found.items()},
        scatter=scatter(results, region),
        strip=corruption_strip(sets, stored, some),
    )


def needs_clean(found: CorruptionScores) -> str | None:
    """The part of a photo whose corruption costs more accuracy: `foreground`, `background`, or `neither more`.

    None where not both were run, or not under the same corruptions.
    """
    if not {"foreground", "background"} <= set(found.regions):
        return None
    if found.regions["foreground"].run != found.regions["background"].run:
        return None
    front, back = (found.number(region, "mpc").value for region in ("foreground", "background"))
    if front is None or back is None:
        return None
    change = rounded(100 * (back - front), 1)
    return "neither more" if abs(change) < _ALIKE else "foreground" if change > 0 else "background"


def scatter(results: Results, region: str) -> Scatter | None:
    """The recipes by BG-gap and rPC; None where less than two have both."""
    found = results.corruptions
    rpc = {recipe: one.number(region, "rpc") for recipe, one in found.items()}
    shown = [recipe for recipe in results.recipes if rpc[recipe].value is not None]
    if len(shown) < 2:
        return None
    pairs = {recipe: _pairs(results, recipe, region) for recipe in shown}
    every = [pair for of_recipe in pairs.values() for pair in of_recipe]
    across, up = (_Axis.around(values) for values in zip(*every, strict=True))
    colours = recipe_colours(results)

    def place(gap: float, kept: float) -> tuple[float, float]:
        return across.percent(gap), rounded(100 - up.percent(kept), 2)

    points = []
    for recipe in shown:
        gap = results.cell(recipe, "bg_gap")
        middle = place(gap.value or 0.0, rpc[recipe].value or 0.0)
        seeds = tuple(place(*pair) for pair in pairs[recipe]) if len(pairs[recipe]) > 1 else ()
        points.append(Point(recipe, colours[recipe], middle, seeds, gap, rpc[recipe], label=middle[1]))
    return Scatter(
        _apart(points),
        tuple((across.percent(value), value) for value in across.ticks),
        tuple((rounded(100 - up.percent(value), 2), value) for value in up.ticks),
        tuple(recipe for recipe in results.recipes if recipe not in shown),
    )


@dataclass(frozen=True)
class _Axis:
    """From a round number below all values to one above them."""

    ticks: tuple[float, ...]

    @classmethod
    def around(cls, values: Iterable[float]) -> "_Axis":
        lowest, highest = min(values := list(values)), max(values)
        step = round_step(max(highest - lowest, 0.01) / 4)
        first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
        return cls(tuple(number * step for number in range(first, max(last, first + 1) + 1)))

    def percent(self, value: float) -> float:
        return rounded(100 * (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]), 2)


def _pairs(results: Results, recipe: str, region: str) -> list[tuple[float, float]]:
    """BG-gap and rPC of each seed that has both."""
    gaps = (seed["bg_gap"] for seed in results.in9[recipe]["seeds"])
    kept = (seed.regions[region].summary.rpc for seed in results.corruptions[recipe].seeds)
    return [(gap, rpc) for gap, rpc in zip(gaps, kept, strict=True) if rpc is not None]


def _apart(points: Sequence[Point]) -> tuple[Point, ...]:
    """With labels where they lie on no other's dot or label, as near their dots as that allows."""
    placed = list(points)
    steps = sorted(range(-len(points), len(points) + 1), key=abs)
    for number, point in enumerate(points):
        others = placed[:number] + placed[number + 1 :]
        spots = (
            replace(point, is_left=is_left, label=rounded(point.place[1] + step * _LINE, 2))
            for step in steps
            for is_left in (False, True)
        )
        placed[number] = next(
            (spot for spot in spots if spot.is_inside and all(map(spot.keeps_clear_of, (spot, *others)))), point
        )
    return tuple(placed)


def _around(x: float, y: float) -> tuple[float, float, float, float]:
    """What a dot takes."""
    return x - _DOT / 2, y - _LINE / 4, x + _DOT / 2, y + _LINE / 4


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _best(found: Collection[CorruptionScores], region: str) -> dict[str, float]:
    """The best number of each column: of what is right the largest, of errors the smallest."""
    columns = {
        "clean": ([one.clean_accuracy for one in found], max),
        **{key: ([one.number(region, key) for one in found], max) for key in ("mpc", "rpc")},
        **{key: ([one.number(region, key) for one in found], min) for key in ("mean_error", "mce", "ece")},
    }
    return {key: best(known) for key, (cells, best) in columns.items() if (known := _values(cells))}


def _values(cells: Iterable[Cell]) -> list[float]:
    return [cell.value for cell in cells if cell.value is not None]
