"""Centre bias and size bias in the report: accuracy by the place and size of foregrounds, and as numbers for dvc."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgdata.compose.place import CELLS
from pipeline.report.numbers import Results
from pipeline.report.table import Cell


@dataclass(frozen=True)
class PlacesView:
    """What the page shows: the recipes that were judged by place, and how many photos each was shown."""

    results: Results
    recipes: Sequence[str]

    @property
    def count(self) -> int:
        """Photos at each place."""
        return int(self.results.in9[self.recipes[0]]["places"]["count"])

    @property
    def sizes(self) -> tuple[str, ...]:
        """The factors of the foregrounds' area."""
        return tuple(self.results.in9[self.recipes[0]]["places"]["sizes"])

    @property
    def rows(self) -> Sequence[Sequence[str]]:
        """The cells' names, as they stand in the frame."""
        return CELLS

    def score(self, recipe: str) -> Mapping[str, Any]:
        """The first seed's numbers, with intervals."""
        return self.results.in9[recipe]["places"]

    def cell(self, recipe: str, kind: str, name: str) -> Cell:
        """A recipe's accuracy in a cell or at a size: mean over the seeds, and their standard deviation."""
        return Cell.of(seed["places"][kind][name] for seed in self._seeds(recipe))

    def centre_bias(self, recipe: str) -> Cell:
        """A recipe's centre bias: mean over the seeds, and their standard deviation."""
        return Cell.of(seed["places"]["centre_bias"] for seed in self._seeds(recipe))

    def _seeds(self, recipe: str) -> Iterator[Mapping[str, Any]]:
        yield from self.results.in9[recipe]["seeds"]


def places_view(results: Results) -> PlacesView | None:
    """The recipes that were judged by place; None where none was."""
    recipes = [recipe for recipe in results.recipes if "places" in results.in9[recipe]]
    return PlacesView(results, recipes) if recipes else None


def places_metrics(view: PlacesView | None) -> dict[str, Any]:
    """The numbers that `dvc metrics` shows, by recipe: centre bias, and accuracy by size."""
    if view is None:
        return {}
    numbers = {}
    for recipe in view.recipes:
        sizes = {f"size_{name}": view.cell(recipe, "sizes", name).value for name in view.sizes}
        by_name = {"centre_bias": view.centre_bias(recipe).value, **sizes}
        numbers[recipe] = {name: value for name, value in by_name.items() if value is not None}
    return {"places": numbers}
