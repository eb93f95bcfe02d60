"""Plain networks against penalised ones, on each kind of biased digits.

Source: the WUST system's one-pixel and background-coloured MNIST (CE + weight * |g on the background|, and its
proportional form; Adam 1e-3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bgdata.digits.bias import BIASES, TESTS, BiasedDigits, bias_digits
from bgdata.digits.plain import Digits
from bgdata.sheets.sheet import SheetRow
from models.classifiers.classifier import Classifier
from models.digits.scores import digit_rows, score_on_digits
from models.digits.settings import DigitsSettings
from models.digits.training import train_on_digits
from models.training.settings import PenaltySettings

METHODS = ("plain", "absolute", "proportional")
COLUMNS = ("the bias lies", *METHODS)
_VALIDATION_SHARE = 1 / 6
_PICTURED = 2


@dataclass(frozen=True)
class Sets:
    """The digits of one bias: train and validation biased, tests by name."""

    train: BiasedDigits
    validation: BiasedDigits
    tests: Mapping[str, BiasedDigits]


def compare_methods(
    train: Digits,
    test: Digits,
    settings: DigitsSettings,
    *,
    seed: int,
    seeds: Sequence[int],
    device: torch.device,
    folder: Path,
) -> tuple[dict[str, Any], list[SheetRow]]:
    """The scores of each bias, method and seed, and the rows of the sheet, of the first seed's classifiers.

    `seed` draws the sets, `seeds` the trainings, whose states `folder` keeps. Validation is on biased digits that
    were neither trained on nor are tested.
    """
    validation, train = train.parted(_VALIDATION_SHARE, seed=seed, purpose="digits.validation")
    scores: dict[str, Any] = {}
    rows: list[SheetRow] = []
    for bias in BIASES:
        make = partial(bias_digits, bias=bias, noise=settings.noise, gap=settings.gap, seed=seed)
        sets = Sets(
            make(train, says="biased"), make(validation, says="biased"), {name: make(test, says=name) for name in TESTS}
        )
        methods, classifiers = _compare_on(sets, bias, settings, seeds=seeds, device=device, folder=folder)
        scores[bias] = {"penalised_area": round(float((~sets.tests["shifted"].masks).mean()), 6), "methods": methods}
        rows += digit_rows(classifiers, sets.tests, title=bias, count=_PICTURED, device=device)
    counts = {"train": len(train.ids), "validation": len(validation.ids), "test": len(test.ids)}
    return {"source": settings.source, "seed": seed, "images": counts, "sets": scores}, rows


def _compare_on(
    sets: Sets, bias: str, settings: DigitsSettings, *, seeds: Sequence[int], device: torch.device, folder: Path
) -> tuple[dict[str, Any], dict[str, Classifier]]:
    methods: dict[str, Any] = {}
    classifiers: dict[str, Classifier] = {}
    for method in METHODS:
        penalty = _penalty(method, bias, settings)
        runs = []
        for number in seeds:
            classifier, history = train_on_digits(
                sets.train,
                sets.validation,
                settings,
                penalty=penalty,
                seed=number,
                device=device,
                folder=folder / f"{bias}-{method}-{number}",
                label=f"{bias} {method}",
            )
            validated = {"seed": number, "validation_accuracy": history[-1]["val_accuracy"]}
            runs.append(validated | score_on_digits(classifier, sets.tests, device=device))
            classifiers.setdefault(method, classifier)
        methods[method] = {"weight": None if penalty is None else penalty.weight, "runs": runs}
    return methods, classifiers


def _penalty(method: str, bias: str, settings: DigitsSettings) -> PenaltySettings | None:
    if method == "plain":
        return None
    weight = getattr(getattr(settings.weights, bias), method)
    return PenaltySettings(kind=method, weight=weight)  # type: ignore[arg-type]  # METHODS are its kinds
