"""Corruptions in the report: what the judge wrote, shown once and rightly, in the page, metrics.json and a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from bgdata.corrupt.corruptions import CORRUPTIONS, EXTRA, STANDARD, Corruption
from bgdata.labels import IN9
from pipeline.report import corruption_strip
from pipeline.report.numbers import Results
from pipeline.report.reading import read_results
from tests.pipeline.test_report import (
    COUNT,
    HITS,
    RECIPES,
    add_seeds,
    edit_json,
    run,
    write_inputs,
    write_json,
)

RUN = {"fog": (1, 3), "gaussian_noise": (1, 3), "speckle_noise": (3,)}
REGIONS = ("whole", "foreground", "background")
ALL = dict.fromkeys(CORRUPTIONS, (1, 2, 3, 4, 5))
Cells = Mapping[str, Sequence[int]]


def hits(recipe: str, region: str, name: str, severity: int) -> int:
    """Of 18 photos: less for each severity, and the less the more of the photo is corrupted."""
    lost = {"whole": 2, "foreground": 1, "background": 0}[region] + severity + list(CORRUPTIONS).index(name) % 3
    return max(HITS[recipe][0] - lost, 0)


def cell(correct: int, ece: float | None = 0.25) -> dict[str, Any]:
    interval = [max(correct - 2, 0) / COUNT, min(correct + 2, COUNT) / COUNT]
    return {"accuracy": correct / COUNT, "correct": correct, "count": COUNT, "interval": interval, "ece": ece}


def summary(cells: Mapping[str, Mapping[str, float]], clean: float | None, *, mce: float | None) -> dict[str, Any]:
    """As the judge's, by its definition in plain words."""

    def part(names: Mapping[str, Any]) -> dict[str, Any]:
        run = {name: list(row.values()) for name, row in cells.items() if name in names}
        mpc = fmean(map(fmean, run.values())) if run else None
        rpc = mpc / clean if mpc is not None and clean else None
        return {"mpc": mpc, "rpc": rpc, "corruptions": len(run), "cells": sum(map(len, run.values()))}

    standard, extra = part(STANDARD), part(EXTRA)
    missing = [name for name in STANDARD if name not in cells]
    missing += [f"{name} {s}" for name in STANDARD if name in cells for s in range(1, 6) if str(s) not in cells[name]]
    return standard | {
        "mean_error": None if standard["mpc"] is None else 1 - standard["mpc"],
        "mce": mce,
        "ece": 0.125,
        "normaliser": "AlexNet (ImageNet, 1,000 classes), published errors at the severities that were run",
        "missing": missing,
        "complete": not missing,
        "extra": extra if extra["corruptions"] else None,
    }


def write_corruptions(
    root: Path, recipe: str, run: Cells = RUN, regions: Sequence[str] = REGIONS, seeds: int = 1, **changes: Any
) -> None:
    """scores/corruptions/<recipe>.json, as the judge writes it: each further seed gets one photo less right."""
    checkpoints = [(recipe.encode().hex() + "0" * 64)[:64], *(f"{number}" * 64 for number in range(1, seeds))]
    origins = [{"seed": number, "checkpoint_sha256": digest} for number, digest in enumerate(checkpoints)]

    def scores(region: str, seed: int) -> dict[str, dict[str, dict[str, Any]]]:
        return {
            name: {str(s): cell(max(hits(recipe, region, name, s) - seed, 0)) for s in severities}
            for name, severities in run.items()
        }

    def accuracies(region: str, seed: int) -> dict[str, dict[str, float]]:
        return {name: {s: one["accuracy"] for s, one in row.items()} for name, row in scores(region, seed).items()}

    clean = HITS[recipe][0]

    def summed(region: str, seed: int) -> dict[str, Any]:
        return summary(accuracies(region, seed), (clean - seed) / COUNT, mce=None if region != "whole" else 1.25)

    result = {
        "recipe": recipe,
        **origins[0],
        "split": "val",
        "class_list": IN9.to_record(),
        "chance": 1 / 9,
        "source": "ours",
        "data_record": {"source": "ours", "seed": 0, "encoding": "JPEG, quality 85"},
        "images": COUNT,
        "clean": cell(clean, 0.0625),
        "regions": {region: {"corruptions": scores(region, 0), "summary": summed(region, 0)} for region in regions},
        "seeds": [
            origin
            | {
                "clean": cell(clean - number, 0.0625),
                "regions": {
                    region: {"corruptions": accuracies(region, number), "summary": summed(region, number)}
                    for region in regions
                },
            }
            for number, origin in enumerate(origins)
        ],
    }
    write_json(root / f"scores/corruptions/{recipe}.json", result | changes)


def tinted(image: np.ndarray, corruption: Corruption, **how: Any) -> np.ndarray:
    """Stands for `corrupt_image`: a grey that says the severity."""
    assert how["mask"].shape == image.shape[:2]
    return np.full_like(image, 40 * corruption.severity)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with corruptions, entered."""
    write_inputs(tmp_path)
    for recipe in RECIPES:
        write_corruptions(tmp_path, recipe)
    edit_json(tmp_path / "build/config/report.json", corruptions=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(corruption_strip, "corrupt_image", tinted)
    return tmp_path


def read(seeds: Sequence[int] = (0,)) -> Results:
    return read_results(Path("scores"), Path("runs"), recipes=RECIPES, seeds=seeds, corrupted=True)


def inside(text: str) -> str:
    return text.split('<section id="corruptions">')[1].split("</section>")[0]


def with_seeds(root: Path, seeds: int = 3) -> None:
    """Further seeds for all judges."""
    for recipe in RECIPES:
        for _ in range(1, seeds):
            add_seeds(root, recipe, dict(zip(HITS_NAMES, HITS[recipe], strict=True)), 0.5)
        write_corruptions(root, recipe, seeds=seeds)
    edit_json(root / "build/config/report.json", seeds=list(range(seeds)))


HITS_NAMES = ("original", "only_bg_b", "only_bg_t", "no_fg", "only_fg", "mixed_same", "mixed_rand", "mixed_next")


def test_render(project: Path) -> None:
    run()
