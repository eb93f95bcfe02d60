"""Plain networks against penalised ones, on each kind of biased digits.

Source: the WUST system's one-pixel and background-coloured MNIST (CE + weight * |g on the background|, and its
proportional form; Adam 1e-3).
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from bgdata.digits.bias import BIASES, TESTS, BiasedDigits, bias_digits
from bgdata.digits.plain import Digits
from bgdata.parallel import run_tasks
from bgdata.sheets.sheet import SheetRow
from models.classifiers.classifier import Classifier
from models.devices import one_thread
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
    workers: int,
) -> tuple[dict[str, Any], list[SheetRow]]:
    """The scores of each bias, method and seed, and the rows of the sheet, of the first seed's classifiers.

    `seed` draws the sets, `seeds` the trainings, whose states `folder` keeps: they are trained in `workers` processes
    (on a CPU) with one thread each, so that their results are those of any machine. Validation is on biased digits
    that were neither trained on nor are tested.
    """
    validation, train = train.parted(_VALIDATION_SHARE, seed=seed, purpose="digits.validation")
    sets = {}
    for bias in BIASES:
        make = partial(bias_digits, bias=bias, noise=settings.noise, gap=settings.gap, seed=seed)
        sets[bias] = Sets(
            make(train, says="biased"), make(validation, says="biased"), {name: make(test, says=name) for name in TESTS}
        )
    tasks = [
        (sets[bias], bias, method, settings, number, device, folder)
        for bias, method, number in product(BIASES, METHODS, seeds)
    ]
    workers = workers if device.type == "cpu" else 1
    run_tasks(_train_quietly, tasks, workers=workers, total=len(tasks), label="digits", unit="training")
    scores: dict[str, Any] = {}
    rows: list[SheetRow] = []
    for bias, of_bias in sets.items():
        methods, classifiers = _compare_on(of_bias, bias, settings, seeds=seeds, device=device, folder=folder)
        scores[bias] = {
            "penalised_area": round(float((~of_bias.tests["shifted"].masks).mean()), 6),
            "methods": methods,
        }
        rows += digit_rows(classifiers, of_bias.tests, title=bias, count=_PICTURED, device=device)
    counts = {"train": len(train.ids), "validation": len(validation.ids), "test": len(test.ids)}
    return {"source": settings.source, "seed": seed, "images": counts, "sets": scores}, rows


def _train_quietly(*training: Any) -> int:
    """One training in a worker, whose bar would break into the others'; its state is what stays."""
    with redirect_stderr(io.StringIO()):
        _train(*training)
    return 1


def _train(
    sets: Sets, bias: str, method: str, settings: DigitsSettings, seed: int, device: torch.device, folder: Path
) -> tuple[Classifier, list[dict[str, Any]]]:
    with one_thread():
        return train_on_digits(
            sets.train,
            sets.validation,
            settings,
            penalty=_penalty(method, bias, settings),
            seed=seed,
            device=device,
            folder=folder / f"{bias}-{method}-{seed}",
            label=f"{bias} {method}",
        )


def _compare_on(
    sets: Sets, bias: str, settings: DigitsSettings, *, seeds: Sequence[int], device: torch.device, folder: Path
) -> tuple[dict[str, Any], dict[str, Classifier]]:
    """The scores of all trainings on one bias, which are finished in `folder`, and the first seed's classifiers."""
    methods: dict[str, Any] = {}
    classifiers: dict[str, Classifier] = {}
    for method in METHODS:
        penalty = _penalty(method, bias, settings)
        runs = []
        for number in seeds:
            classifier, history = _train(sets, bias, method, settings, number, device, folder)
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
