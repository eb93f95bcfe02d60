"""The table of all recipes, for the report's page and for the docs: made once, from the numbers of metrics.json."""

import json
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from bgdata.shards import write_text_whole

# The columns, as metrics.json and people call them.
COLUMNS = {variant: variant for variant in VARIANTS} | {
    "bg_gap": "BG-gap",
    "challenge_accuracy": "challenge",
    "worst_group_accuracy": "worst group",
}
# One more on the page and in metrics.json, where the judge wrote it.
SENSITIVITY = "relative_foreground_sensitivity"
ABSENT = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """One number, a fraction: the mean over the seeds, and their standard deviation where there are several."""

    value: float | None
    std: float | None = None

    @classmethod
    def of(cls, by_seed: Iterable[float | None]) -> "Cell":
        """The mean and the sample deviation of what is there."""
        values = [value for value in by_seed if value is not None]
        if not values:
            return cls(None)
        # A single value as it is: summing and dividing could change its last digit.
        mean = values[0] if len(values) == 1 else statistics.fmean(values)
        return cls(mean, statistics.stdev(values) if len(values) > 1 else None)

    @property
    def text(self) -> str:
        """In percent, as `83.0 ± 1.1`; a dash where it is absent."""
        spread = "" if self.std is None else f" ± {percent(self.std)}"
        return percent(self.value) + spread


def read_metrics(path: Path) -> dict[str, Any]:
    """What `report/metrics.json` holds.

    Raises InputError where it is missing, or is none.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing or a folder: run `dvc repro` first, or name another with --metrics")
    try:
        numbers = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise InputError(
            f"{path} is no JSON ({error}): run `dvc repro` first, or name another with --metrics"
        ) from None
    recipes = numbers.get("in9") if isinstance(numbers, dict) else None
    if not isinstance(recipes, dict) or not all(isinstance(row, dict) for row in recipes.values()):
        raise InputError(f"{path} holds no `in9`, a row a recipe: name the report's metrics.json with --metrics")
    return numbers


def results_table(numbers: Mapping[str, Any]) -> dict[str, dict[str, Cell]]:
    """The cells by recipe and column, of what `report/metrics.json` holds."""
    spread = numbers.get("in9_std", {})
    return {
        recipe: {column: Cell(row.get(column), spread.get(recipe, {}).get(column)) for column in COLUMNS}
        for recipe, row in numbers["in9"].items()
    }


def render_markdown(numbers: Mapping[str, Any]) -> str:
    """The table as Markdown, under a line that says what its numbers are; the same numbers give the same bytes."""
    seeds = numbers.get("seeds", 1)
    said = f"mean ± standard deviation of {seeds} seeds" if seeds > 1 else "one seed"
    rows = [[recipe, *(cell.text for cell in cells.values())] for recipe, cells in results_table(numbers).items()]
    return f"Percent, {said}:\n\n{markdown_table(['recipe', *COLUMNS.values()], rows)}"


def render_transfer(numbers: Mapping[str, Any]) -> str | None:
    """The transfer as Markdown, a row a network in its task's main metric; None where none was judged."""
    spread = numbers.get("transfer_std", {})
    rows = []
    for key, by_metric in numbers.get("transfer", {}).items():
        metric, row = next(iter(by_metric.items()))
        stds = spread.get(key, {}).get(metric, {})
        cells = (Cell(row.get(name), stds.get(name)) for name in ("clean", "mpc", "swapped", "gap"))
        rows.append([key, metric, *(cell.text for cell in cells)])
    return markdown_table(["transfer", "metric", "clean", "mPC", "swapped", "gap"], rows) if rows else None


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """Rows of text as a Markdown table, the first column to the left, the others to the right."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_between_marks(page: Path, name: str, block: str) -> None:
    """Put `block` between the lines `<!-- name -->` and `<!-- /name -->` of a Markdown file, whatever was there.

    Raises InputError where there is no such file, or it has no such lines, or has them twice.
    """
    if not page.is_file():
        raise InputError(f"{page} is missing: name a Markdown file with the lines <!-- {name} --> and <!-- /{name} -->")
    write_text_whole(page, put_between_marks(page.read_text(encoding="utf-8"), name, block))


def put_between_marks(text: str, name: str, block: str) -> str:
    """A Markdown text with `block` between the lines `<!-- name -->` and `<!-- /name -->`, whatever was there.

    Raises InputError where the text has no such lines, or has them twice.
    """
    found = re.findall(rf"<!-- {name} -->\n.*?<!-- /{name} -->", text, flags=re.DOTALL)
    if len(found) != 1:
        raise InputError(
            f"expected one block of lines <!-- {name} --> and <!-- /{name} -->, found {len(found)}: put them where the "
            "table should be"
        )
    return text.replace(found[0], f"<!-- {name} -->\n{block}\n<!-- /{name} -->")


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as percent without the sign: 0.734 is `73.4`; a dash where it is absent."""
    return ABSENT if fraction is None else typeset(f"{rounded(100 * fraction, digits):.{digits}f}")


def typeset(number: str) -> str:
    """A number with the sign that print uses."""
    return number.replace("-", "\N{MINUS SIGN}")


def rounded(value: float, digits: int) -> float:
    """Rounded, and never -0.0."""
    return round(value, digits) + 0.0
