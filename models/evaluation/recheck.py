"""Whether a submitted result is what its model gives: a seeded part of it is computed again."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from bgdata.classes import check_same
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_pixels
from bgdata.randomness import seeded_order
from models.classifiers.judged import Judged
from models.evaluation.accuracy import labels_of
from models.evaluation.challenge import judge_foregrounds, open_challenge
from models.evaluation.corruption_numbers import corruption_summary
from models.evaluation.corruption_shapes import CellScore
from models.evaluation.in9 import hash_ids, predict
from models.evaluation.submissions import ChallengeResult, CorruptionsResult, In9Result

_COMPARED = ("mpc", "rpc", "mean_error", "mce", "ece", "corruptions", "cells", "complete")  # of corruptions
_NAMES = ("checkpoint",)  # a file may be called otherwise


def compare_models(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Where two records of a model differ, a sentence each."""
    keys = [key for key in dict.fromkeys((*recorded, *found)) if key not in _NAMES]
    return [
        f"model: {key} is {found.get(key)}, recorded {recorded.get(key)}"
        for key in keys
        if recorded.get(key) != found.get(key)
    ]


def recheck_in9(
    model: Judged,
    sources: Mapping[str, ImageSource],
    result: In9Result,
    *,
    sample: int,
    seed: int,
    device: torch.device,
    eval_batch: int,
    workers: int,
) -> list[str]:
    """Where a result of the variants differs, a sentence each: its sums from its predictions, and `sample` predictions
    of each variant from the model's.

    Raises InputError where it has no predictions, or is of other photos or another list of classes.
    """
    model.to(device).eval()
    differences = []
    for variant, score in result.variants.items():
        source = sources[variant]
        check_same({"the result": result.classes, str(source.folder): source.classes})
        rows = sorted(source.split(result.split), key=lambda row: row.id)
        recorded = _recorded_classes(result, variant, [row.id for row in rows])
        correct = int((recorded == labels_of(rows)).sum())
        if (correct, len(rows)) != (score.correct, score.count):
            differences.append(
                f"{variant}: its own predictions have {correct} of {len(rows)} right, "
                f"it says {score.correct} of {score.count}"
            )
        if not np.isclose(score.accuracy, correct / len(rows), rtol=0, atol=1e-9):
            differences.append(f"{variant}: {correct} of {len(rows)} is no accuracy of {score.accuracy}")
        drawn = seeded_order(seed, [row.id for row in rows], f"recheck-{variant}")[:sample]
        some = [rows[index] for index in drawn]
        pixels = load_pixels(source, some, size=None, folder=None, workers=workers, label=variant)
        predicted, _, _ = predict(model, pixels, device=device, batch=eval_batch)
        differences += [
            f"{variant} {row.id}: class {now}, recorded {then}"
            for row, now, then in zip(some, predicted, recorded[drawn], strict=True)
            if now != then
        ]
    return differences


def recheck_challenge(
    model: Judged,
    sources: Mapping[str, ImageSource],
    result: ChallengeResult,
    *,
    sample: int,
    seed: int,
    device: torch.device,
    eval_batch: int,
    workers: int,
) -> list[str]:
    """Where a result of the challenge differs, a sentence each: its sums from its verdicts, and `sample` verdicts.

    Each foreground that is drawn is judged anew, a robust one on every background.

    Raises InputError where it is of other photos or another list of classes.
    """
    check_same({"the result": result.classes} | {str(source.folder): source.classes for source in sources.values()})
    data, _ = open_challenge(sources, split=result.split, workers=workers)
    recorded = {row.id: row.vulnerable for row in result.foregrounds}
    if hash_ids(tuple(recorded)) != hash_ids(data.ids) or result.backgrounds != len(data.backgrounds):
        raise InputError(
            f"the challenge was run on {len(recorded)} foregrounds and {result.backgrounds} backgrounds that are "
            f"not the {len(data.ids)} and {len(data.backgrounds)} of --data: give the data that it was run on"
        )
    vulnerable, count = sum(recorded.values()), len(recorded)
    differences = []
    said = (result.vulnerable, result.count, result.challenge_accuracy)
    if said[:2] != (vulnerable, count) or not np.isclose(said[2], 1 - vulnerable / count, rtol=0, atol=1e-9):
        differences.append(
            f"challenge: its own verdicts have {vulnerable} of {count} vulnerable, it says {said[0]} of {said[1]}, "
            f"and an accuracy of {said[2]}"
        )
    drawn = sorted(seeded_order(seed, data.ids, "recheck-challenge")[:sample])
    part = dataclasses.replace(
        data,
        foregrounds=data.foregrounds[drawn],
        masks=data.masks[drawn],
        labels=data.labels[drawn],
        ids=tuple(data.ids[index] for index in drawn),
    )
    judge = model.among_nine() if result.nine_only else model
    verdicts = judge_foregrounds(judge, part, device=device, eval_batch=eval_batch)
    words = {True: "vulnerable", False: "robust"}
    return differences + [
        f"challenge {photo}: {words[bool(now)]}, recorded {words[recorded[photo]]}"
        for photo, now in zip(part.ids, verdicts.vulnerable, strict=True)
        if bool(now) != recorded[photo]
    ]


def recount_corruptions(result: CorruptionsResult) -> list[str]:
    """Where a result of corruptions differs from its own cells, a sentence each: accuracies from their counts, and by
    region what they come to. No image is read.
    """
    differences = []
    for region, scores in result.regions.items():
        cells = {name: {int(s): cell for s, cell in row.items()} for name, row in scores.corruptions.items()}
        for name, row in cells.items():
            differences += [
                f"corruptions: {name} {severity} ({region}): {cell.correct} of {cell.count} photos of {result.images} "
                f"is no accuracy of {cell.accuracy}"
                for severity, cell in row.items()
                if cell.count != result.images or not _is_close(cell.accuracy, cell.correct / cell.count)
            ]
        counted = corruption_summary(
            _column(cells, "accuracy"),
            clean=None if result.clean is None else result.clean.accuracy,
            ece=_column(cells, "ece"),
            region=region,
        )
        said = scores.summary.model_dump()
        # mCE is counted again where it is relative to AlexNet's published errors, here as there.
        compared = [key for key in _COMPARED if key != "mce" or said["normaliser"] == counted["normaliser"]]
        pairs = [(key, said[key], counted[key]) for key in compared]
        extra, again = said["extra"] or {}, counted["extra"] or {}
        pairs += [(f"extra {key}", extra.get(key), again.get(key)) for key in ("mpc", "rpc")]
        differences += [
            f"corruptions: its own cells ({region}) give {key} {new}, it says {old}"
            for key, old, new in pairs
            if not _is_close(old, new)
        ]
    return differences


def _column(cells: Mapping[str, Mapping[int, CellScore]], key: str) -> dict[str, dict[int, float]]:
    """One number of each cell that has it."""
    return {
        name: {severity: value for severity, cell in row.items() if (value := getattr(cell, key)) is not None}
        for name, row in cells.items()
    }


def _is_close(one: float | int | None, other: float | int | None) -> bool:
    return one is other if one is None or other is None else bool(np.isclose(one, other, rtol=0, atol=1e-9))


def _recorded_classes(result: In9Result, variant: str, ids: list[str]) -> np.ndarray:
    cells = result.predictions.get(variant)
    if cells is None:
        raise InputError(f"the result has no predictions of {variant}: make it again with this version of evaluate")
    labels = cells.labels(len(ids))
    if cells.photos_sha256 != hash_ids(ids) or len(labels) != len(ids):
        raise InputError(
            f"the result is of {len(labels)} photos of {variant} that are not the {len(ids)} of --data: "
            "give the data that it was made on"
        )
    return np.array(labels, np.int64)
