"""The results of the recipes, and the report's tables made of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgdata.classes import ClassList
from bgdata.compose.names import VARIANTS
from models.transfer.result_shapes import TransferScores
from pipeline.report.corruptions import CorruptionScores, corruption_metrics
from pipeline.report.flow import FlowResult
from pipeline.report.table import COLUMNS, SENSITIVITY, Cell
from pipeline.report.transfer import transfer_metrics

# The recipe that others are compared with: plain training on the photos as they are.
BASELINE = "original"
# Where segmenters are judged: the masks that came with the data, and three public sets.
SEGMENTATION_SETS = ("photos", "coco", "voc", "davis")
IN9_COLUMNS = ("recipe", "seed", "variant", "accuracy", "correct", "count")
HISTORY_COLUMNS = ("recipe", "epoch", "train_loss", "val_accuracy")


@dataclass(frozen=True)
class Results:
    """What the judges and the training wrote: files by recipe, in the order of params.yaml.

    Rates are means over the seeds; what cannot be averaged (classes, pictures, histories) is the first seed's, as are
    the flows (of the recipes that have one). `corruptions` is empty where none were run. `transfer` is by
    `<task>-<backbone>-<mode>`. `classes` is the one list that all recipes were judged on.
    """

    recipes: tuple[str, ...]
    seeds: tuple[int, ...]
    in9: Mapping[str, Mapping[str, Any]]
    challenge: Mapping[str, Mapping[str, Any]]
    history: Mapping[str, Sequence[Mapping[str, str]]]
    provenance: Mapping[str, Mapping[str, Any]]
    segmentation: Mapping[str, Mapping[str, Any]]
    saliency: Mapping[str, Mapping[str, Any]]
    flow: Mapping[str, FlowResult]
    corruptions: Mapping[str, CorruptionScores]
    transfer: Mapping[str, TransferScores]
    classes: ClassList

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return self.in9[self.recipes[0]]["chance"]

    @property
    def baseline(self) -> str | None:
        """The recipe that others are compared with, where it was trained."""
        return BASELINE if BASELINE in self.recipes else None

    def cell(self, recipe: str, column: str) -> Cell:
        """A recipe's number of a column (COLUMNS, SENSITIVITY): mean over the seeds, and their standard deviation."""
        return Cell.of(self._by_seed(recipe, column))

    def _by_seed(self, recipe: str, column: str) -> list[float | None]:
        if column == "challenge_accuracy":
            return [seed.get(column) for seed in self.challenge[recipe]["seeds"]]
        judged = self.in9[recipe]["seeds"]
        if column == "worst_group_accuracy":
            return [(seed["worst_group"] or {}).get("accuracy") for seed in judged]
        if column == SENSITIVITY:
            return [(seed.get(column) or {}).get("value") for seed in judged]
        if column == "bg_gap":
            return [seed[column] for seed in judged]
        return [seed["variants"][column]["accuracy"] for seed in judged]

    def accuracy(self, recipe: str, variant: str) -> float:
        """A recipe's accuracy on a variant, a fraction."""
        return self.cell(recipe, variant).value  # type: ignore[return-value]  # read_results checked the variants

    def bg_gap(self, recipe: str) -> float:
        """Accuracy on mixed_same less that on mixed_rand, as the judge wrote it."""
        return self.cell(recipe, "bg_gap").value  # type: ignore[return-value]  # as above

    def challenge_accuracy(self, recipe: str) -> float | None:
        """The share of foregrounds that no background fools; None where none was tried."""
        return self.cell(recipe, "challenge_accuracy").value

    @property
    def has_sensitivity(self) -> bool:
        """Whether any recipe has a relative foreground sensitivity."""
        return any(self.cell(recipe, SENSITIVITY).value is not None for recipe in self.recipes)

    @property
    def least_dependent(self) -> str:
        """The recipe with the smallest BG-gap; of equals the baseline, else the first."""
        return min(self.recipes, key=lambda recipe: (self.bg_gap(recipe), recipe != self.baseline))

    @property
    def compared(self) -> tuple[str, ...]:
        """The recipes whose pictures are shown: the baseline, and the one that depends least on the background."""
        return tuple(dict.fromkeys(name for name in (self.baseline, self.least_dependent) if name is not None))

    @property
    def best_trade_off(self) -> str | None:
        """The recipe with the smallest BG-gap among those that lose at most 5 points on original to the baseline."""
        if self.baseline is None:
            return None
        enough = self.accuracy(self.baseline, "original") - 0.05
        kept = [recipe for recipe in self.recipes if self.accuracy(recipe, "original") >= enough]
        return min(kept, key=self.bg_gap)


def metrics(results: Results) -> dict[str, Any]:
    """The numbers that `dvc metrics` shows: fractions, nested by recipe; what is absent is left out.

    Of several seeds `in9` and `corruptions` hold the means, under the same keys as of one, and beside them there are
    their standard deviations (`in9_std`, `corruptions_std`) and how many there are (`seeds`).
    """
    columns = (*COLUMNS, SENSITIVITY)
    cells = {name: {column: results.cell(name, column) for column in columns} for name in results.recipes}

    def numbers(which: str) -> dict[str, dict[str, float]]:
        rows = {name: ((column, getattr(cell, which)) for column, cell in row.items()) for name, row in cells.items()}
        return {name: dict(_present(row)) for name, row in rows.items()}

    flow = {"flow": {name: result.numbers for name, result in results.flow.items()}} if results.flow else {}
    several = {"in9_std": numbers("std"), "seeds": len(results.seeds)} if len(results.seeds) > 1 else {}
    return {
        "in9": numbers("value"),
        **several,
        "segmentation": {
            name: {method: _segmentation_metrics(score) for method, score in judged["methods"].items()}
            for name, judged in results.segmentation.items()
            if judged["methods"]
        },
        "saliency": {name: _saliency_metrics(results.saliency[name]) for name in results.recipes},
        **flow,
        **corruption_metrics(results.corruptions),
        **transfer_metrics(results.transfer),
    }


def in9_rows(results: Results) -> Iterator[dict[str, Any]]:
    """The rows of in9.csv, one for each seed."""
    for name in results.recipes:
        for judged in results.in9[name]["seeds"]:
            for variant in VARIANTS:
                score = judged["variants"][variant]
                row = {"recipe": name, "seed": judged["seed"], "variant": variant}
                yield row | {key: score[key] for key in IN9_COLUMNS[3:]}


def history_rows(results: Results) -> Iterator[dict[str, str]]:
    """The rows of history.csv, as training wrote them for the first seed."""
    for name in results.recipes:
        for row in results.history[name]:
            yield {"recipe": name} | {key: row[key] for key in HISTORY_COLUMNS[1:]}


def _segmentation_metrics(score: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_present((key, score[key]) for key in ("mean_iou", "mean_dice", "misses", "count")))


def _saliency_metrics(score: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        variant: dict(_present((method, summary["mean_share"]) for method, summary in methods.items()))
        for variant, methods in score["variants"].items()
    }


def _present(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    # DVC drops null without a word, and takes NaN for a change in every diff.
    return ((key, value) for key, value in items if value is not None and math.isfinite(value))
