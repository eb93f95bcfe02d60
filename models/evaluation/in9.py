"""Accuracy on the variants of ImageNet-9, and the gap that backgrounds make.

Source: Xiao et al. 2021, table 2 and section 3.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from tqdm import tqdm

from bgdata.compose.variants import VARIANTS
from bgdata.pixels import load_pixels
from bgdata.shards import ImageSet
from models.classifiers import Classifier
from models.devices import exact_arithmetic
from models.evaluation.accuracy import labels_of, predict_labels, summary_by_class


def judge_variants(
    classifier: Classifier, sets: Path, *, split: str, device: torch.device, eval_batch: int, workers: int
) -> dict[str, dict[str, Any]]:
    """Accuracy, with counts and by class, on each variant under `sets`, in float32, one variant in memory at a time.

    Raises InputError where a variant is not there.
    """
    classifier.to(device)
    return {
        variant: _judge_variant(
            classifier, sets / variant, split=split, device=device, eval_batch=eval_batch, workers=workers
        )
        for variant in tqdm(VARIANTS, desc="variants", unit="set")
    }


def bg_gap(variants: dict[str, dict[str, Any]]) -> float:
    """accuracy(mixed_same) - accuracy(mixed_rand): what a background of the right class is worth."""
    return float(variants["mixed_same"]["accuracy"] - variants["mixed_rand"]["accuracy"])


def _judge_variant(
    classifier: Classifier, folder: Path, *, split: str, device: torch.device, eval_batch: int, workers: int
) -> dict[str, Any]:
    with ImageSet(folder) as images:
        rows = images.split(split)
        pixels = load_pixels(images, rows, size=None, folder=None, workers=workers, label=folder.name)
    labels = labels_of(rows)
    with exact_arithmetic():
        correct = predict_labels(classifier, pixels, device=device, batch=eval_batch) == labels
    return _accuracy(correct) | {"per_class": summary_by_class(correct, labels, _accuracy)}


def _accuracy(correct: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    return {"accuracy": float(correct.mean()), "correct": int(correct.sum()), "count": len(correct)}
