"""Accuracy on the variants of ImageNet-9, the gap that backgrounds make, and what a background changes in a photo.

Source: Xiao et al. 2021, table 2 and section 3; the predictions are those of the official evaluator.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from tqdm import tqdm

from bgdata.compose.variants import MIXED
from bgdata.labels import CLASS_COUNT
from bgdata.pixels import ImageSource, load_pixels
from bgdata.shards import Row
from models.classifiers.judged import Judged
from models.devices import exact_arithmetic
from models.evaluation.accuracy import image_batches, labels_of, summary_by_class, unique_ids
from models.evaluation.groups import worst_group
from models.evaluation.statistics import count_pairs, expected_calibration_error, paired_gap, wilson_interval

# Which variants of a photo are compared: each with its original, and the two that make the BG-gap.
_REFERENCE = "original"
_GAP = ("mixed_same", "mixed_rand")


@dataclass(frozen=True)
class Judgement:
    """A model's predictions on one variant, image by image, in the order of `ids`.

    `predicted` is 0 to 8, or 9 for none of the nine; `among_nine` is the best of the nine; `confidence` is the
    probability of the predicted class. `backgrounds` are the classes of the backgrounds, where the set names them.
    """

    ids: Sequence[str]
    labels: Int64[np.ndarray, " n"]
    predicted: Int64[np.ndarray, " n"]
    among_nine: Int64[np.ndarray, " n"]
    confidence: Float32[np.ndarray, " n"]
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

    Raises InputError where a set cannot be read, or the model has other outputs than it should.
    """
    model.to(device).eval()
    judgements = {}
    for variant, source in tqdm(sources.items(), desc="variants", unit="set"):
        rows = source.split(split)
        ids = unique_ids(source, rows)
        pixels = load_pixels(source, rows, size=None, folder=cache and cache / variant, workers=workers, label=variant)
        predicted, among_nine, confidence = predict(model, pixels, device=device, batch=eval_batch)
        judgements[variant] = Judgement(ids, labels_of(rows), predicted, among_nine, confidence, _backgrounds(rows))
    return judgements


def predict(
    model: Judged, pixels: UInt8[np.ndarray, "n h w 3"], *, device: torch.device, batch: int
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """Predicted class, best of the nine, and the former's probability of each image; the model lies on `device`."""
    parts = []
    with torch.inference_mode(), exact_arithmetic():
        for images in image_batches(pixels, device=device, batch=batch):
            raw = model(images)
            logits = model.class_logits(raw)
            predicted = logits.argmax(1)
            confidence = model.class_probabilities(raw).gather(1, predicted[:, None])[:, 0]
            parts.append((predicted.cpu(), logits[:, :CLASS_COUNT].argmax(1).cpu(), confidence.float().cpu()))
    predicted_all, among_nine, confidences = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return predicted_all, among_nine, confidences


def in9_score(judgements: Mapping[str, Judgement], *, among_nine: bool) -> dict[str, Any]:
    """The judgements as a score: by variant, the BG-gap with its interval, and what changes from variant to variant.

    `among_nine` adds, apart, the accuracy of choosing among the nine classes' outputs only (ImageNet's models). Where
    the variants hold different photos, `photos_missing` counts those that each lacks of all; gaps and transitions are
    of the photos that both variants have.
    """
    score: dict[str, Any] = {
        "variants": {
            variant: variant_score(judgement, among_nine=among_nine) for variant, judgement in judgements.items()
        },
        "bg_gap": bg_gap(judgements),
        "worst_group": group_score(judgements),
        "chance": 1 / CLASS_COUNT,
    }
    if score["bg_gap"] is not None:
        same, rand = (judgements[variant] for variant in _GAP)
        score["bg_gap_paired"] = paired_gap(*_paired(same, rand, "correct"))
    score["transitions"] = {
        f"{first} to {second}": transitions(judgements[first], judgements[second])
        for first, second in _comparisons(judgements)
    }
    missing = photos_missing(judgements)
    return score | ({"photos_missing": missing} if missing else {})


def photos_missing(judgements: Mapping[str, Judgement]) -> dict[str, int]:
    """How many photos of the other variants each variant lacks; those that lack none are absent."""
    photos = set[str]().union(*(judgement.ids for judgement in judgements.values()))
    missing = {variant: len(photos.difference(judgement.ids)) for variant, judgement in judgements.items()}
    return {variant: count for variant, count in missing.items() if count}


def brief_score(score: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a score for each further seed: accuracy by variant, the BG-gap, the worst group."""
    variants = {
        variant: {key: full[key] for key in ("accuracy", "correct", "count")}
        for variant, full in score["variants"].items()
    }
    return {"variants": variants, "bg_gap": score["bg_gap"], "worst_group": score["worst_group"]}


def group_score(judgements: Mapping[str, Judgement]) -> dict[str, Any] | None:
    """The worst group over the mixed variants together; None without them, or where a set names no backgrounds."""
    mixed = [judgements[variant] for variant in MIXED if variant in judgements]
    backgrounds = [judgement.backgrounds for judgement in mixed if judgement.backgrounds is not None]
    if len(backgrounds) < len(MIXED):
        return None
    labels = np.concatenate([judgement.labels for judgement in mixed])
    correct = np.concatenate([judgement.correct for judgement in mixed])
    return worst_group(labels, np.concatenate(backgrounds), correct)


def variant_score(judgement: Judgement, *, among_nine: bool) -> dict[str, Any]:
    """Accuracy with its interval, by class, the worst class, calibration, and the confusion matrix of one variant.

    The confusion's rows are the true class, its columns the predicted one; a tenth column is none of the nine.
    """
    per_class = summary_by_class(judgement.correct, judgement.labels, _accuracy)
    worst = min(per_class, key=lambda folder: per_class[folder]["accuracy"])
    score = _accuracy(judgement.correct) | {
        "per_class": per_class,
        "worst_class": {"class": worst, "accuracy": per_class[worst]["accuracy"]},
        "ece": expected_calibration_error(judgement.confidence, judgement.correct),
        "confusion": count_pairs(
            judgement.labels, judgement.predicted, height=CLASS_COUNT, width=CLASS_COUNT + among_nine
        ),
    }
    if among_nine:
        score["among_nine"] = _accuracy(judgement.among_nine == judgement.labels)
    return score


def recorded_predictions(judgements: Mapping[str, Judgement]) -> dict[str, dict[str, str]]:
    """Each variant's predictions, small: a digit a photo (9: none of the nine) in the order of ids."""
    recorded = {}
    for variant, judgement in judgements.items():
        order = sorted(range(len(judgement.ids)), key=lambda index: judgement.ids[index])
        digits = "".join(str(judgement.predicted[index]) for index in order)
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

    `predictions` counts photos by the class in the first (rows) and in the second (columns; a tenth is none of
    the nine); `lost` were right in the first alone, `won` in the second alone.
    """
    before, after = _paired(first, second, "predicted")
    was, is_now = _paired(first, second, "correct")
    side = CLASS_COUNT + 1
    return {
        "photos": len(before),
        "kept_right": int((was & is_now).sum()),
        "lost": int((was & ~is_now).sum()),
        "won": int((~was & is_now).sum()),
        "kept_wrong": int((~was & ~is_now).sum()),
        "predictions": count_pairs(before, after, height=side, width=side),
    }


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


def _accuracy(correct: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    hits, count = int(correct.sum()), len(correct)
    return {
        "accuracy": float(correct.mean()),
        "correct": hits,
        "count": count,
        "interval": wilson_interval(hits, count),
    }
