"""The result files of the recipes, read and checked, and the report's three tables made of them."""

import csv
import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.compose.variants import VARIANTS
from bgdata.errors import InputError
from bgdata.report.table import COLUMNS, Cell

# The recipe that others are compared with: plain training on the photos as they are.
BASELINE = "original"
# Where segmenters are judged: the masks that came with the data, and three public sets.
SEGMENTATION_SETS = ("photos", "coco", "voc", "davis")
IN9_COLUMNS = ("recipe", "seed", "variant", "accuracy", "correct", "count")
HISTORY_COLUMNS = ("recipe", "epoch", "train_loss", "val_accuracy")


@dataclass(frozen=True)
class Results:
    """What the judges and the training wrote: files by recipe, in the order of params.yaml.

    Rates are means over the seeds; what cannot be averaged (classes, pictures, histories) is the first seed's.
    """

    recipes: tuple[str, ...]
    seeds: tuple[int, ...]
    in9: Mapping[str, Mapping[str, Any]]
    challenge: Mapping[str, Mapping[str, Any]]
    history: Mapping[str, Sequence[Mapping[str, str]]]
    provenance: Mapping[str, Mapping[str, Any]]
    segmentation: Mapping[str, Mapping[str, Any]]
    saliency: Mapping[str, Mapping[str, Any]]

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return self.in9[self.recipes[0]]["chance"]

    @property
    def baseline(self) -> str | None:
        """The recipe that others are compared with, where it was trained."""
        return BASELINE if BASELINE in self.recipes else None

    def cell(self, recipe: str, column: str) -> Cell:
        """A recipe's number of a column (COLUMNS): mean over the seeds, and their standard deviation."""
        values = [value for value in self._by_seed(recipe, column) if value is not None]
        if not values:
            return Cell(None)
        # A single value as it is: summing and dividing could change its last digit.
        mean = values[0] if len(values) == 1 else statistics.fmean(values)
        return Cell(mean, statistics.stdev(values) if len(values) > 1 else None)

    def _by_seed(self, recipe: str, column: str) -> list[float | None]:
        if column == "challenge_accuracy":
            return [seed.get(column) for seed in self.challenge[recipe]["seeds"]]
        judged = self.in9[recipe]["seeds"]
        if column == "worst_group_accuracy":
            return [(seed["worst_group"] or {}).get("accuracy") for seed in judged]
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


def read_results(scores: Path, runs: Path, *, recipes: Sequence[str], seeds: Sequence[int]) -> Results:
    """Read the files of these recipes, and no others: files of recipes that are gone may still lie there.

    Raises InputError, naming the file and what to run, where a file is missing, broken, of another recipe, lacks a
    seed, a variant or the challenge's gallery, or where a judge judged another checkpoint than the one that training
    left.
    """
    if not recipes:
        raise InputError("params.yaml has no recipes: add one under recipes, then run `dvc repro`")
    in9 = {name: _read_json(scores / "in9" / f"{name}.json", f"evaluate@{name}", name) for name in recipes}
    challenge = {name: _read_json(scores / "challenge" / f"{name}.json", f"challenge@{name}", name) for name in recipes}
    saliency = {name: _read_json(scores / "saliency" / f"{name}.json", f"saliency@{name}", name) for name in recipes}
    provenance = {name: _read_json(runs / name / "provenance.json", f"train@{name}") for name in recipes}
    for name in recipes:
        for kind, stage, files in (("in9", "evaluate", in9), ("challenge", "challenge", challenge)):
            _check_seeds(scores / kind / f"{name}.json", files[name], seeds, f"{stage}@{name}")
        _check_variants(scores / "in9" / f"{name}.json", in9[name], name)
        _check_gallery(scores / "challenge" / f"{name}.json", challenge[name], name)
        files = {"runs": provenance, "in9": in9, "challenge": challenge, "saliency": saliency}
        _check_checkpoints(name, {kind: content[name] for kind, content in files.items()})
        for number in range(1, len(seeds)):
            judged = {"in9": in9[name]["seeds"][number], "challenge": challenge[name]["seeds"][number]}
            trained = _read_json(runs / name / f"seed-{number}" / "provenance.json", f"train@{name}")
            _check_checkpoints(name, {"runs": trained} | judged)
    return Results(
        recipes=tuple(recipes),
        seeds=tuple(seeds),
        in9=in9,
        challenge=challenge,
        history={name: _read_history(runs / name / "history.csv", f"train@{name}") for name in recipes},
        provenance=provenance,
        segmentation={name: _read_segmentation(scores, name) for name in SEGMENTATION_SETS},
        saliency=saliency,
    )


def metrics(results: Results) -> dict[str, Any]:
    """The numbers that `dvc metrics` shows: fractions, nested by recipe; what is absent is left out.

    Of several seeds `in9` holds the means, under the same keys as of one, and beside it there are their standard
    deviations (`in9_std`) and how many there are (`seeds`).
    """
    cells = {name: {column: results.cell(name, column) for column in COLUMNS} for name in results.recipes}

    def numbers(which: str) -> dict[str, dict[str, float]]:
        rows = {name: ((column, getattr(cell, which)) for column, cell in row.items()) for name, row in cells.items()}
        return {name: dict(_present(row)) for name, row in rows.items()}

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


def _read_json(path: Path, stage: str, recipe: str | None = None) -> dict[str, Any]:
    content = _read(path, stage, json.loads)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object: run `dvc repro --force {stage}`")
    if recipe is not None and content.get("recipe") != recipe:
        raise InputError(f"{path} is of recipe {content.get('recipe')}, not {recipe}: run `dvc repro --force {stage}`")
    return content


def _read_segmentation(scores: Path, name: str) -> dict[str, Any]:
    path, stage = scores / "segmentation" / f"{name}.json", f"evaluate_segmentation@{name}"
    judged = _read_json(path, stage)
    if judged.get("set") != name or not isinstance(judged.get("methods"), dict):
        raise InputError(f"{path} is no result of the set {name}: run `dvc repro --force {stage}`")
    return judged


def _read_history(path: Path, stage: str) -> list[dict[str, str]]:
    rows = _read(path, stage, lambda text: list(csv.DictReader(text.splitlines())))
    missing = [column for column in HISTORY_COLUMNS[1:] if not rows or column not in rows[0]]
    if missing:
        raise InputError(f"{path} has no rows with {', '.join(missing)}: run `dvc repro --force {stage}`")
    return rows


def _read(path: Path, stage: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro {stage}`, or `dvc repro` for all") from None
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}): run `dvc repro --force {stage}`") from error


def _check_seeds(path: Path, score: Mapping[str, Any], seeds: Sequence[int], stage: str) -> None:
    judged = [of_seed.get("seed") for of_seed in score.get("seeds", ())]
    if judged != list(seeds):
        said = ", ".join(map(str, judged)) or "none"
        expected = ", ".join(map(str, seeds))
        raise InputError(
            f"{path} has scores of seeds {said}, expected {expected} (params.yaml): run `dvc repro {stage}`"
        )


def _check_variants(path: Path, in9: Mapping[str, Any], recipe: str) -> None:
    judged = [in9["variants"], *(of_seed["variants"] for of_seed in in9["seeds"])]
    lacking = [variant for variant in VARIANTS if any(variant not in variants for variants in judged)]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}: run `dvc repro --force evaluate@{recipe}`")


def _check_gallery(path: Path, challenge: Mapping[str, Any], recipe: str) -> None:
    if "gallery" not in challenge:
        raise InputError(f"{path} lacks the gallery: run `dvc repro --force challenge@{recipe}`")


def _check_checkpoints(recipe: str, files: Mapping[str, Mapping[str, Any]]) -> None:
    judged = {name: str(content.get("checkpoint_sha256")) for name, content in files.items()}
    if len(set(judged.values())) > 1:
        of = ", ".join(f"{name} {digest[:12]}" for name, digest in judged.items())
        raise InputError(
            f"recipe {recipe} was trained and judged with different checkpoints ({of}): run "
            f"`dvc repro evaluate@{recipe} challenge@{recipe} saliency@{recipe}`"
        )
