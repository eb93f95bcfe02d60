"""What a network learnt from biased digits: its accuracy when the bias lies or is gone, and where it looks."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from bgdata.classes import plain_class_list
from bgdata.digits.bias import TESTS, BiasedDigits
from bgdata.digits.plain import CLASSES
from bgdata.sheets.heat import HeatCell
from bgdata.sheets.sheet import SheetRow
from models.classifiers.classifier import Classifier
from models.classifiers.judged import judged_classifier
from models.evaluation.accuracy import predict_labels
from models.evaluation.saliency import attribute, attribution_share
from models.evaluation.saliency_sheet import scaled
from models.evaluation.statistics import wilson_interval
from models.training.penalties import image_gradients, mean_size

_BATCH = 256
_LIST = plain_class_list("digits", [str(digit) for digit in range(CLASSES)])


def score_on_digits(
    classifier: Classifier, tests: Mapping[str, BiasedDigits], *, device: torch.device
) -> dict[str, Any]:
    """Accuracy on each of `TESTS` with its 95 % interval; on the biased one also what the absolute penalty measures
    (`penalty_size`, unweighted) and the share of the input gradient of the true class's logit that lies where the
    bias may stand (`bias_share`)."""
    biased = tests[TESTS[0]]
    shares = attribution_share(_maps(classifier, biased, device=device), ~biased.masks)
    return {
        "tests": {name: _accuracy(classifier, digits, device=device) for name, digits in tests.items()},
        "penalty_size": round(_penalty_size(classifier, biased, device=device), 9),
        "bias_share": round(float(np.nanmean(shares)), 6) if np.isfinite(shares).any() else None,
    }


def digit_rows(
    classifiers: Mapping[str, Classifier],
    tests: Mapping[str, BiasedDigits],
    *,
    title: str,
    count: int,
    device: torch.device,
) -> list[SheetRow]:
    """The first `count` digits whose bias lies: as they are, and the maps of each method's classifier over them."""
    columns = []
    shifted = tests["shifted"]
    lies = (shifted.images != tests["biased"].images).any((1, 2, 3))  # the lot may fall on the digit's own class
    places = np.flatnonzero(lies)[:count]
    chosen = BiasedDigits(shifted.labels[places], shifted.images[places], shifted.masks[places])
    for classifier in classifiers.values():
        maps = _maps(classifier, chosen, device=device)
        taken = predict_labels(classifier, chosen.images, device=device, batch=_BATCH)
        columns.append(
            [
                HeatCell(image, mask, scaled(found), f"taken for {label}")
                for image, mask, found, label in zip(chosen.images, chosen.masks, maps, taken, strict=True)
            ]
        )
    photos = [HeatCell(*cells, None, "") for cells in zip(chosen.images, chosen.masks, strict=True)]
    return [
        SheetRow(f"{title}: a {chosen.labels[row]}", cells)
        for row, cells in enumerate(zip(photos, *columns, strict=True))
    ]


def _maps(classifier: Classifier, digits: BiasedDigits, *, device: torch.device) -> Float32[np.ndarray, "n h w"]:
    model = judged_classifier(classifier, _LIST).to(device).eval()
    return attribute(model, digits.images, digits.labels, method="gradient", device=device)


def _accuracy(classifier: Classifier, digits: BiasedDigits, *, device: torch.device) -> dict[str, Any]:
    hits = predict_labels(classifier, digits.images, device=device, batch=_BATCH) == digits.labels
    correct, count = int(hits.sum()), len(hits)
    return {
        "accuracy": correct / count,
        "correct": correct,
        "count": count,
        "interval": wilson_interval(correct, count),
    }


def _penalty_size(classifier: Classifier, digits: BiasedDigits, *, device: torch.device) -> float:
    total = 0.0
    for start in range(0, len(digits.labels), _BATCH):
        part = slice(start, start + _BATCH)
        images = _as_floats(digits.images[part]).to(device).requires_grad_()
        targets = torch.eye(CLASSES, device=device)[torch.from_numpy(digits.labels[part]).to(device)]
        penalised = torch.from_numpy(~digits.masks[part])[:, None].to(device).float()
        total += float(mean_size(image_gradients(classifier(images), targets, images), penalised).detach().sum())
    return total / len(digits.labels)


def _as_floats(images: UInt8[np.ndarray, "b h w 3"]) -> Float32[torch.Tensor, "b 3 h w"]:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)
