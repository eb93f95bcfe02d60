"""Accuracy on the variants of a test set (ImageNet-9, or one made like it), the gap that backgrounds make, and what a
background changes in a photo.

Source: Xiao et al. 2021, table 2 and section 3; the predictions are those of the official evaluator.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from bgdata.classes import ClassList, check_same
from bgdata.compose.names import MIXED, VARIANTS
from bgdata.pixels import ImageSource, load_pixels
from bgdata.shards import Row
from models.classifiers.judged import Judged
from models.devices import exact_arithmetic
from models.evaluation.accuracy import classes_of, image_batches, labels_of, summary_by_class, unique_ids
from models.evaluation.groups import worst_group
from models.evaluation.statistics import (
    count_pairs,
    expected_calibration_error,
    list_pairs,
    paired_gap,
    wilson_interval,
)

# Which variants of a photo are compared: each with its original, and the two that make the BG-gap.
_REFERENCE = "original"
_GAP = ("mixed_same", "mixed_rand")
# Matrices of up to so many classes are written whole; of 1,000 most of a million cells are zero.
_WHOLE = 50
# Labels and what is outside them, where one digit says all.
_DIGITS = 10


@dataclass(frozen=True)
class Judgement:
    """A model's predictions on one variant, image by image, in the order of `ids`.

    `predicted` is a label of `class_list`, or one more than its last for none of it (9 with ImageNet-9); `among_nine`
    is the best of the list; `confidence` is the probability of the predicted class. `backgrounds` are the classes of
    the backgrounds, where the set names them.
    """

    ids: Sequence[str]
    labels: Int64[np.ndarray, " n"]
    predicted: Int64[np.ndarray, " n"]
    among_nine: Int64[np.ndarray, " n"]
    confidence: Float32[np.ndarray, " n"]
    class_list: ClassList
    backgrounds: Int64[np.ndarray, " n"] | None = None

    @property
    def correct(self) -> Bool[np.ndarray, " n"]:
        """Whether each image was classified as what it is."""
        return self.predicted == self.labels


def judge_variants(
    model: Judged,
    sources: Mapping[str, ImageSource],
    *,
    split: str,
    device: torch.device,
    eval_batch: int,
    workers: int,
    cache: Path | None = None,
) -> dict[str, Judgement]:
    """A model's predictions on each of the given variants, in float32, one variant in memory at a time.

    With a `cache`, variants are mapped from arrays there, a folder a set, which are decoded once for all judges.

    Raises InputError where a set cannot be read, the model has other outputs than it should, or it and the sets have
    different lists of classes.
    """
    classes = classes_of(sources.values())
    check_same({"the model": model.labels, "the data": classes})
    model.to(device).eval()
    judgements = {}
    for variant, source in tqdm(sources.items(), desc="variants", unit="set"):
        rows = source.split(split)
        ids = unique_ids(source, rows)
        pixels = load_pixels(source, rows, size=None, folder=cache and cache / variant, workers=workers, label=variant)
        predicted, among_nine, confidence = predict(model, pixels, device=device, batch=eval_batch)
        judgements[variant] = Judgement(
            ids, labels_of(rows), predicted, among_nine, confidence, classes, _backgrounds(rows)
        )
    return judgements


def predict(
    model: Judged, pixels: UInt8[np.ndarray, "n h w 3"], *, device: torch.device, batch: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Predicted class, best of the list, and the former's probability of each image; the model lies on `device`."""
    parts = [predict_images(model, images) for images in image_batches(pixels, device=device, batch=batch)]
    predicted, among_nine, confidence = (np.concatenate(column) for column in zip(*parts, strict=True))
    return predicted, among_nine, confidence


def predict_images(
    model: Judged, images: Float[Tensor, "b 3 h w"]
) -> tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"], Float32[np.ndarray, " b"]]:
    """What `predict` says of each image of one batch, which lies where the model does."""
    with torch.inference_mode(), exact_arithmetic():
        raw = model(images)
        logits = model.class_logits(raw)
        predicted = logits.argmax(1)
        confidence = model.class_probabilities(raw).gather(1, predicted[:, None])[:, 0]
        among_nine = logits[:, : len(model.labels)].argmax(1)
    return predicted.cpu().numpy(), among_nine.cpu().numpy(), confidence.float().cpu().numpy()


def in9_score(judgements: Mapping[str, Judgement], *, among_nine: bool) -> dict[str, Any]:
    """The judgements as a score: by variant, the BG-gap with its interval, and what changes from variant to variant.

    `among_nine` adds, apart, the accuracy of choosing among the list's outputs only (ImageNet's models). Where
    the variants hold different photos, `photos_missing` counts those that each lacks of all; gaps and transitions are
    of the photos that both variants have. Sets beside the eight variants that name their backgrounds (`mixed_rand_f`,
    `mixed_correlated_c95` ...) have a worst group each.

    Raises InputError where the judgements are of different lists of classes.
    """
    classes = judged_classes(judgements)
    score: dict[str, Any] = {
        "class_list": classes.to_record(),
        "variants": {
            variant: variant_score(judgement, among_nine=among_nine) for variant, judgement in judgements.items()
        },
        "bg_gap": bg_gap(judgements),
        "worst_group": group_score(judgements),
        "chance": 1 / len(classes),
    }
    if score["bg_gap"] is not None:
        same, rand = (judgements[variant] for variant in _GAP)
        score["bg_gap_paired"] = paired_gap(*_paired(same, rand, "correct"))
    score["transitions"] = {
        f"{first} to {second}": transitions(judgements[first], judgements[second])
        for first, second in _comparisons(judgements)
    }
    for variant, judged in judgements.items():
        if variant not in VARIANTS and judged.backgrounds is not None:
            groups = worst_group(judged.labels, judged.backgrounds, judged.correct, classes=classes)
            score["variants"][variant]["worst_group"] = groups
    missing = photos_missing(judgements)
    return score | ({"photos_missing": missing} if missing else {})


def judged_classes(judgements: Mapping[str, Judgement]) -> ClassList:
    """The one list of classes of all judgements.

    Raises InputError where two differ.
    """
    return check_same({variant: judgement.class_list for variant, judgement in judgements.items()})


def photos_missing(judgements: Mapping[str, Judgement]) -> dict[str, int]:
    """How many photos of the other variants each variant lacks; those that lack none are absent."""
    photos = set[str]().union(*(judgement.ids for judgement in judgements.values()))
    missing = {variant: len(photos.difference(judgement.ids)) for variant, judgement in judgements.items()}
    return {variant: count for variant, count in missing.items() if count}


def brief_score(score: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a score for each further seed: accuracy by variant, the BG-gap, the worst group, and where noise
    was put on the photos, the relative foreground sensitivity.
    """
    variants = {
        variant: {key: full[key] for key in ("accuracy", "correct", "count")}
        for variant, full in score["variants"].items()
    }
    noise = {key: score[key] for key in ("relative_foreground_sensitivity",) if key in score}
    return {"variants": variants, "bg_gap": score["bg_gap"], "worst_group": score["worst_group"]} | noise


def group_score(judgements: Mapping[str, Judgement]) -> dict[str, Any] | None:
    """The worst group over the mixed variants together; None without them, or where a set names no backgrounds."""
    mixed = [judgements[variant] for variant in MIXED if variant in judgements]
    backgrounds = [judgement.backgrounds for judgement in mixed if judgement.backgrounds is not None]
    if len(backgrounds) < len(MIXED):
        return None
    labels = np.concatenate([judgement.labels for judgement in mixed])
    correct = np.concatenate([judgement.correct for judgement in mixed])
    return worst_group(labels, np.concatenate(backgrounds), correct, classes=judged_classes(judgements))


def variant_score(judgement: Judgement, *, among_nine: bool) -> dict[str, Any]:
    """Accuracy with its interval, by class, the worst class, calibration, and the confusion matrix of one variant.

    The confusion's rows are the true class, its columns the predicted one; one column more (`among_nine`) is none of
    the list. Of more than 50 classes it is a list of what occurs: `[true, predicted, count]` each.
    """
    count = len(judgement.class_list)
    per_class = summary_by_class(judgement.correct, judgement.labels, accuracy_summary, classes=judgement.class_list)
    worst = min(per_class, key=lambda folder: per_class[folder]["accuracy"])
    score = accuracy_summary(judgement.correct) | {
        "per_class": per_class,
        "worst_class": {"class": worst, "accuracy": per_class[worst]["accuracy"]},
        "ece": expected_calibration_error(judgement.confidence, judgement.correct),
        "confusion": _matrix(
            judgement.labels, judgement.predicted, judgement.class_list, height=count, width=count + among_nine
        ),
    }
    if among_nine:
        score["among_nine"] = accuracy_summary(judgement.among_nine == judgement.labels)
    return score


def recorded_predictions(judgements: Mapping[str, Judgement]) -> dict[str, dict[str, str]]:
    """Each variant's predictions, small, in the order of ids; one more than the last label is none of the list.

    A digit a photo for lists of up to 9 classes, else numbers with spaces between.
    """
    recorded = {}
    for variant, judgement in judgements.items():
        order = sorted(range(len(judgement.ids)), key=lambda index: judgement.ids[index])
        between = "" if len(judgement.class_list) < _DIGITS else " "
        digits = between.join(str(judgement.predicted[index]) for index in order)
        recorded[variant] = {"photos_sha256": hash_ids(judgement.ids), "classes": digits}
    return recorded


def hash_ids(ids: Sequence[str]) -> str:
    """The SHA-256 of photos' ids, whatever their order."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def bg_gap(judgements: Mapping[str, Judgement]) -> float | None:
    """accuracy(mixed_same) - accuracy(mixed_rand): what a background of the right class is worth.

    On the photos that both have; None where there is none.
    """
    if any(variant not in judgements for variant in _GAP):
        return None
    first, second = (judgements[variant] for variant in _GAP)
    same, rand = _paired(first, second, "correct")
    return float(same.mean() - rand.mean()) if len(same) else None


def transitions(first: Judgement, second: Judgement) -> dict[str, Any]:
    """How predictions move between two variants of the same photos.

    `predictions` counts photos by the class in the first (rows) and in the second (columns), the last being none of
    the list; of more than 50 classes it lists what occurs, `[first, second, count]` each. `lost` were right in the
    first alone, `won` in the second alone.
    """
    before, after = _paired(first, second, "predicted")
    was, is_now = _paired(first, second, "correct")
    side = len(first.class_list) + 1
    return {
        "photos": len(before),
        "kept_right": int((was & is_now).sum()),
        "lost": int((was & ~is_now).sum()),
        "won": int((~was & is_now).sum()),
        "kept_wrong": int((~was & ~is_now).sum()),
        "predictions": _matrix(before, after, first.class_list, height=side, width=side),
    }


def _matrix(
    rows: Int64[np.ndarray, " n"], columns: Int64[np.ndarray, " n"], classes: ClassList, *, height: int, width: int
) -> list[list[int]]:
    if len(classes) > _WHOLE:
        return list_pairs(rows, columns, width=width)
    return count_pairs(rows, columns, height=height, width=width)


def _backgrounds(rows: Sequence[Row]) -> Int64[np.ndarray, " n"] | None:
    named = [row.extra.get("background_label") for row in rows]
    return np.array([int(label) for label in named if label], np.int64) if all(named) else None


def _comparisons(judgements: Mapping[str, Judgement]) -> list[tuple[str, str]]:
    pairs = [(_REFERENCE, variant) for variant in judgements if variant != _REFERENCE] + [_GAP]
    return [pair for pair in pairs if all(variant in judgements for variant in pair)]


def _paired(first: Judgement, second: Judgement, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A column of both judgements for the photos that both have."""
    place = {photo: index for index, photo in enumerate(second.ids)}
    pairs = [(index, place[photo]) for index, photo in enumerate(first.ids) if photo in place]
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    return getattr(first, column)[left], getattr(second, column)[right]


def accuracy_summary(correct: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    """Accuracy with its 95 % interval, and what it was counted from."""
    hits, count = int(correct.sum()), len(correct)
    return {
        "accuracy": float(correct.mean()),
        "correct": hits,
        "count": count,
        "interval": wilson_interval(hits, count),
    }
