"""The transfer in the report: what the judge wrote, shown once and rightly, and claims that follow from intervals."""

import base64
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from models.transfer.result_shapes import TransferScores
from pipeline.report import transfer_views
from pipeline.report.numbers import Results
from pipeline.report.page import points
from pipeline.report.reading import read_results
from pipeline.report.table import percent, render_transfer
from pipeline.report.transfer import NUMBERS, TRANSFER_COLUMNS
from pipeline.report.transfer_claims import transfer_claims
from pipeline.report.transfer_views import read_transfer_view
from tests.conftest import ROOT
from tests.pipeline.test_report import RECIPES, Page, edit_json, run, section, write_inputs, write_json
from tests.pipeline.test_report_corruptions import write_corruptions

METRICS = {"detection": ("box_ap", "box_ap50", "mask_ap"), "segmentation": ("miou",), "classification": ("accuracy",)}
RUN = {"gaussian_noise": ("3",), "fog": ("1", "3"), "speckle_noise": ("3",)}
SHIFTS = ("gaussian_noise 3", "fog 1", "fog 3", "speckle_noise 3", "swapped backgrounds")
TASKS = ("detection", "segmentation")
MODES = ("fixed_feature", "full_network")
KEYS = tuple(f"{task}-{name}-{mode}" for task in TASKS for name in ("original", "dynamic") for mode in MODES)
WIDTH = 0.02  # half of an interval


def estimated(value: float | None, half: float = WIDTH) -> dict[str, Any]:
    return {"value": value, "interval": None if value is None else [max(value - half, 0.0), value + half]}


def level(task: str, backbone: str, mode: str) -> float:
    """The main metric of the first seed on clean images."""
    return 0.5 + 0.1 * (task == "segmentation") + 0.05 * (mode == "full_network") + 0.03 * (backbone == "dynamic")


def seed_values(clean: float, *, swapped: bool, rpc: float, kept: float) -> dict[str, float]:
    values = {"clean": clean, "mpc": rpc * clean, "rpc": rpc}
    return values | ({"swapped": kept * clean, "gap": clean - kept * clean, "kept": kept} if swapped else {})


def transfer_scores(key: str, *, seeds: int = 1, swapped: bool = True, rpc: float = 0.5, kept: float = 0.75) -> Any:
    """scores.json, as the judge writes it: each metric is a quarter less than the one before, each seed a hundredth."""
    task, backbone, mode = key.split("-")
    metrics = METRICS[task]
    firsts = {metric: level(task, backbone, mode) * 0.75**number for number, metric in enumerate(metrics)}
    by_seed = [
        {
            metric: seed_values(first - number / 100, swapped=swapped, rpc=rpc, kept=kept)
            for metric, first in firsts.items()
        }
        for number in range(seeds)
    ]
    means = {
        metric: {name: fmean(values[metric][name] for values in by_seed) for name in by_seed[0][metric]}
        for metric in metrics
    }
    names = [(name, severity) for name, severities in RUN.items() for severity in severities]
    cells: dict[str, Any] = {}
    for number, (name, severity) in enumerate(names):
        rates = {metric: estimated(means[metric]["mpc"] * (1.2 - number / 10)) for metric in metrics}
        cells.setdefault(name, {})[severity] = rates

    def summary(metric: str) -> dict[str, Any]:
        known = {name: estimated(means[metric].get(name)) if name in means[metric] else None for name in NUMBERS}
        del known["clean"]
        return known | {"corruptions": 2, "cells": 3, "complete": False}

    return {
        "task": task,
        "backbone": backbone,
        "mode": mode,
        "set": "scenes",
        "split": "val",
        "images": 150,
        "metrics": metrics,
        "record": {"recipe": backbone, "arch": "resnet8"},
        "constant": None if task == "detection" else dict.fromkeys(metrics, 0.125),
        "background": "tiled" if swapped else None,
        "clean": {metric: estimated(means[metric]["clean"]) for metric in metrics},
        "swapped": {metric: estimated(means[metric]["swapped"]) for metric in metrics} if swapped else None,
        "corruptions": cells,
        "summary": {metric: summary(metric) for metric in metrics},
        "seeds": [
            {"seed": number, "checkpoint_sha256": f"{number}" * 64, "values": values}
            for number, values in enumerate(by_seed)
        ],
    }


def write_transfer(root: Path, keys: Sequence[str] = KEYS, changes: Mapping[str, Any] | None = None, **how: Any) -> None:
    for key in keys:
        folder = root / "scores/transfer" / key
        write_json(folder / "scores.json", transfer_scores(key, **how) | dict(changes or {}))
        (folder / "examples.jpg").write_bytes(encode_jpeg(np.full((40, 60, 3), 90, np.uint8), 80))
    edit_json(root / "build/config/report.json", transfer=list(keys))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two tasks on two backbones in two modes, entered."""
    write_inputs(tmp_path)
    write_transfer(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(keys: Sequence[str] = KEYS, *, corrupted: bool = False) -> Results:
    return read_results(
        Path("scores"), Path("runs"), recipes=RECIPES, seeds=(0,), corrupted=corrupted, transfer=list(keys)
    )


def inside(text: str) -> str:
    return text.split('<section id="transfer">')[1].split("</section>")[0]


def rows_of(text: str) -> list[list[str]]:
    return [row for row in Page(inside(text)).rows if row]
