"""A few photos with their attribution maps, as they are and on a random background."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from bgdata.sheets.heat import HeatCell
from bgdata.sheets.sheet import SheetRow
from models.classifiers.judged import Judged
from models.evaluation.in9 import predict
from models.evaluation.saliency import VARIANTS, Pairs, attribute, attribution_share

TITLES = {"gradient": "input gradient", "grad_cam": "Grad-CAM"}


def sheet_columns(score: dict[str, Any]) -> list[str]:
    """The names of the columns of a score's sheet: each variant, then its maps."""
    return [
        name
        for variant, methods in score["variants"].items()
        for name in (variant, *(TITLES[method] for method in methods))
    ]


def sheet_rows(
    model: Judged, pairs: Pairs, score: dict[str, Any], *, count: int, device: torch.device
) -> list[SheetRow]:
    """A row for each of the first `count` photos of `pairs`, with the methods that its score has."""
    columns: list[list[HeatCell]] = []
    classes, names = pairs.class_list, pairs.class_list.names
    masks, labels = pairs.masks[:count], pairs.labels[:count]
    for variant in VARIANTS if len(labels) else ():
        images = pairs.images[variant][:count]
        predicted, *_ = predict(model, images, device=device, batch=len(images))
        words = [f"taken for {names[label]}" if label < len(names) else classes.outside for label in predicted]
        columns.append([HeatCell(*cells) for cells in zip(images, masks, [None] * len(images), words, strict=True)])
        for method in score["variants"][variant]:
            maps = attribute(model, images, labels, method=method, device=device)
            shares = [
                "nothing" if np.isnan(share) else f"{100 * share:.0f} % on the foreground"
                for share in attribution_share(maps, masks)
            ]
            heats = [scaled(found) for found in maps]
            columns.append([HeatCell(*cells) for cells in zip(images, masks, heats, shares, strict=True)])
    return [
        SheetRow(f"{names[label]} ({pairs.ids[row]})", tuple(column[row] for column in columns))
        for row, label in enumerate(labels)
    ]


def scaled(attribution: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """A map in [0, 1] for the eye: its 99th percentile is 1 (a few pixels hold the peaks of a gradient)."""
    top = float(np.percentile(attribution, 99)) or float(attribution.max())
    return (attribution / top).clip(0, 1) if top > 0 else np.zeros_like(attribution)
