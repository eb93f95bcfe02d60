"""What backgrounds give away, in the report: the judge's file read, checked, and as numbers for dvc's metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from bgdata.compose.names import background_set
from bgdata.errors import InputError
from models.evaluation.leak_shapes import LeakScores, ModelLeak
from pipeline.report.pictures import data_uri
from pipeline.report.table import Cell

_STAGE = "leak"


@dataclass(frozen=True)
class LeakView:
    """What the page shows: the judge's file, and its sheet of examples as a data URI."""

    scores: LeakScores
    recipes: Sequence[str]
    sheet: str

    @property
    def measured(self) -> tuple[str, ...]:
        """The sources of which there are numbers, the tiled one first."""
        return tuple(name for name, source in self.scores.sources.items() if source.why is None)

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why the others have none."""
        return {name: source.why for name, source in self.scores.sources.items() if source.why is not None}

    def set_of(self, source: str) -> str:
        """The set of a source's backgrounds."""
        return background_set(source)

    def of(self, recipe: str, source: str) -> ModelLeak:
        """The first seed's numbers of a recipe and a source."""
        return self.scores.recipes[recipe].sources[source]

    def cell(self, recipe: str, source: str, key: str) -> Cell:
        """`accuracy` or `hole_leak` of a recipe and a source: mean over the seeds, and their standard deviation."""
        return Cell.of(seed.sources[source][key] for seed in self.scores.recipes[recipe].seeds)


def read_leak(scores: Path, provenance: Mapping[str, Mapping[str, Any]]) -> LeakView:
    """Read `leak.json` and `leak.jpg`.

    `provenance` is what training left of each recipe.

    Raises InputError, naming the file and what to run, where one is missing, broken, lacks a recipe, or is of another
    checkpoint.
    """
    recipes = tuple(provenance)
    path, sheet = scores / "leak.json", scores / "leak.jpg"
    for file in (path, sheet):
        if not file.is_file():
            raise InputError(f"{file} is missing: run `dvc repro {_STAGE}`, or `dvc repro` for all")
    try:
        found = LeakScores.model_validate_json(path.read_bytes())
    except ValidationError as error:
        detail = error.errors()[0]
        said = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
        raise InputError(f"{path} cannot be read ({said}): run `dvc repro --force {_STAGE}`") from None
    lacking = [recipe for recipe in recipes if recipe not in found.recipes]
    if lacking:
        raise InputError(f"{path} lacks the recipes {', '.join(lacking)}: run `dvc repro {_STAGE}`")
    for recipe in recipes:
        judged, trained = found.recipes[recipe].checkpoint_sha256, str(provenance[recipe].get("checkpoint_sha256"))
        if judged != trained:
            raise InputError(
                f"recipe {recipe} was trained and judged with different checkpoints (runs {trained[:12]}, leak "
                f"{judged[:12]}): run `dvc repro {_STAGE}`"
            )
    return LeakView(found, recipes, data_uri("jpeg", sheet.read_bytes()))


def leak_metrics(view: LeakView) -> dict[str, Any]:
    """The numbers that `dvc metrics` shows, by source: means over the seeds, and what the segmenter finds."""
    numbers: dict[str, Any] = {}
    for source in view.measured:
        found = view.scores.sources[source].found
        by_recipe = {
            key: {
                recipe: cell.value
                for recipe in view.recipes
                if (cell := view.cell(recipe, source, key)).value is not None
            }
            for key in ("accuracy", "hole_leak")
        }
        means = {f"mean_{key}": fmean(values.values()) for key, values in by_recipe.items() if values}
        numbers[source] = by_recipe | means | ({} if found is None else {"found_share": found.share})
    return {"leak": numbers}
