"""What the judge of corruptions wrote of each recipe: read, checked, and as numbers for dvc's metrics and plots."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from bgdata.corrupt.corruptions import REGIONS
from bgdata.errors import InputError
from models.evaluation.corruption_shapes import (
    CellScore,
    CorruptionName,
    Count,
    Rate,
    Region,
    RegionScores,
    Result,
    Severity,
    Summary,
)
from pipeline.report.table import Cell

CORRUPTION_COLUMNS = ("recipe", "seed", "region", "corruption", "severity", "accuracy", "ece")
# Judges all recipes.
_STAGE = "corruptions"
# Numbers of a summary: the first four by region and apart of the four further corruptions, where they are there.
SUMMARISED = ("mpc", "rpc", "mean_error", "mce", "ece")


class SeedRegion(Result):
    """One seed's accuracies on a region, and what they come to."""

    corruptions: dict[CorruptionName, dict[Severity, Rate]]
    summary: Summary


class SeedScores(Result):
    """One seed in brief."""

    seed: int
    checkpoint_sha256: str
    clean: CellScore | None
    regions: dict[Region, SeedRegion]


class CorruptionScores(Result):
    """scores/corruptions/<recipe>.json: the first seed's scores, and each seed's in brief."""

    recipe: str
    checkpoint_sha256: str
    seed: int
    split: str
    source: str
    data_record: dict[str, Any]
    class_list: dict[str, Any]
    images: Count
    clean: CellScore | None
    regions: dict[Region, RegionScores] = Field(min_length=1)
    seeds: tuple[SeedScores, ...]

    @model_validator(mode="after")
    def _seeds_are_of_the_same_cells(self) -> "CorruptionScores":
        for seed in self.seeds:
            for region, name, severity in self.cells():
                of_seed = seed.regions[region].corruptions if region in seed.regions else {}
                if severity not in of_seed.get(name, {}):
                    raise ValueError(f"seed {seed.seed} lacks {name} {severity} ({region})")
        return self

    def cells(self) -> Iterator[tuple[str, str, str]]:
        """What was run: region, corruption and severity."""
        for region in self.shown_regions:
            for name, severities in self.regions[region].run.items():
                yield from ((region, name, severity) for severity in severities)

    @property
    def shown_regions(self) -> tuple[str, ...]:
        """Those that were run, the whole photo first."""
        return tuple(region for region in REGIONS if region in self.regions)

    @property
    def clean_accuracy(self) -> Cell:
        """The accuracy on the photos as they were."""
        return self._over_seeds(lambda seed: None if seed.clean is None else seed.clean.accuracy)

    @property
    def clean_ece(self) -> Cell:
        """The calibration error on the photos as they were."""
        return self._over_seeds(lambda seed: None if seed.clean is None else seed.clean.ece)

    def number(self, region: str, key: str) -> Cell:
        """A number of a region's summary (SUMMARISED)."""
        return self._over_seeds(lambda seed: getattr(seed.regions[region].summary, key))

    def extra(self, region: str, key: str) -> Cell:
        """`mpc` or `rpc` of the four further corruptions."""
        return self._over_seeds(lambda seed: getattr(seed.regions[region].summary.extra, key, None))

    def accuracy(self, region: str, name: str, severity: str) -> Cell:
        """The accuracy under one corruption at one severity; absent where it was not run."""
        return self._over_seeds(lambda seed: seed.regions[region].corruptions.get(name, {}).get(severity))

    def numbers(self, which: str) -> dict[str, Any]:
        """What `dvc metrics` shows (`value`, or the spread: `std`): flat of whole photos, by name of the others."""
        by_region = {region: dict(self._summarised(region, which)) for region in self.shown_regions}
        parts = {region: found for region, found in by_region.items() if region != "whole" and found}
        return by_region.get("whole", {}) | parts

    def _summarised(self, region: str, which: str) -> Iterator[tuple[str, Any]]:
        for key in SUMMARISED:
            if (value := getattr(self.number(region, key), which)) is not None:
                yield key, value
        extra = {key: getattr(self.extra(region, key), which) for key in ("mpc", "rpc")}
        if present := {key: value for key, value in extra.items() if value is not None}:
            yield "extra", present

    def _over_seeds(self, of_seed: Callable[[SeedScores], float | None]) -> Cell:
        return Cell.of(of_seed(seed) for seed in self.seeds)


def read_corruptions(scores: Path, recipes: Sequence[str]) -> dict[str, CorruptionScores]:
    """What the judge wrote of each recipe.

    Raises InputError, naming the file and what to run, where one is missing, broken, of another recipe, or was judged
    on other photos, corruptions or regions than the first recipe's.
    """
    found = {name: _read_one(scores / "corruptions" / f"{name}.json", name) for name in recipes}
    first = next(iter(found.values()))
    for name, judged in found.items():
        if _judged_on(judged) != _judged_on(first):
            raise InputError(
                f"{scores / 'corruptions' / f'{name}.json'} was judged on other photos, corruptions, severities or "
                f"regions than {first.recipe}.json beside it: run `dvc repro --force {_STAGE}`"
            )
    return found


def corruption_rows(corruptions: Mapping[str, CorruptionScores]) -> Iterator[dict[str, Any]]:
    """The rows of corruptions.csv, one a cell and seed; the calibration error is known of the first seed alone."""
    for recipe, found in corruptions.items():
        for number, seed in enumerate(found.seeds):
            for region, name, severity in found.cells():
                row = {"recipe": recipe, "seed": seed.seed, "region": region, "corruption": name, "severity": severity}
                accuracy = seed.regions[region].corruptions[name][severity]
                ece = found.regions[region].corruptions[name][severity].ece if number == 0 else None
                yield row | {"accuracy": accuracy, "ece": "" if ece is None else ece}


def corruption_metrics(corruptions: Mapping[str, CorruptionScores]) -> dict[str, Any]:
    """What metrics.json gains: `corruptions`, and of several seeds `corruptions_std`."""
    if not corruptions:
        return {}
    gained = {"corruptions": {name: found.numbers("value") for name, found in corruptions.items()}}
    if any(len(found.seeds) > 1 for found in corruptions.values()):
        gained["corruptions_std"] = {name: found.numbers("std") for name, found in corruptions.items()}
    return gained


def _read_one(path: Path, recipe: str) -> CorruptionScores:
    try:
        found = CorruptionScores.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro {_STAGE}`, or `dvc repro` for all") from None
    except ValidationError as error:
        first = error.errors()[0]
        fault = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise InputError(f"{path} is no result of corruptions ({fault}): run `dvc repro --force {_STAGE}`") from None
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}): run `dvc repro --force {_STAGE}`") from None
    if found.recipe != recipe:
        raise InputError(f"{path} is of recipe {found.recipe}, not {recipe}: run `dvc repro --force {_STAGE}`")
    return found


def _judged_on(found: CorruptionScores) -> tuple[Any, ...]:
    return found.source, found.data_record.get("seed"), found.split, found.images, list(found.cells())
