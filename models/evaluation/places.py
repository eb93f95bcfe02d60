"""Whether a classifier minds where an object stands, and how large it is.

Source: centre bias and size bias of ForAug (Nauen et al. 2025, section 4, and its data set's `fg_in_nonant` and
`size_fact`): each foreground stands on its own background, without itself. For the cells of the 3 x 3 grid it is scaled
to a third, so that it keeps its share of the area within its cell. There the place in a cell is drawn, here it is the
middle.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from bgdata.classes import check_same
from bgdata.compose.paste import paste_foreground
from bgdata.compose.place import CELLS, Place, cell, move_foreground
from models.classifiers.judged import Judged
from models.evaluation.in9 import accuracy_summary, predict
from models.evaluation.sensitivity import MaskedPhotos
from models.evaluation.statistics import ratio_interval

# Of the foreground's area, as ForAug's.
SIZES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
_OWN = "1"
_CENTRE = "centre"
_CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")
_SIDES = ("top", "left", "right", "bottom")


def judge_places(
    model: Judged,
    photos: MaskedPhotos,
    backgrounds: UInt8[np.ndarray, "n h w 3"],
    *,
    device: torch.device,
    eval_batch: int,
) -> dict[str, Any]:
    """Accuracy by the cell in which the foreground stands, and by the factor of its area where it stood.

    `backgrounds` are the photos' own, without the foregrounds, in their order. `centre_bias` is the mean of the worst
    corner's and the worst side's accuracy over the centre's: 1 is none; less says that objects away from the middle are
    named less often; None where the centre has no hit. `relative` is a size's accuracy over that of the own size. Both
    with 95 % bootstrap intervals over the photos.

    Raises InputError where the model and the photos have different lists of classes.
    """
    check_same({"the model": model.labels, "the data": photos.class_list})
    model.to(device).eval()
    grid = {name: Place(1 / 3, centre=cell(name)) for names in CELLS for name in names}
    sizes = {f"{factor:g}": Place(factor**0.5) for factor in SIZES}
    hits = {}
    for name, place in tqdm({**grid, **sizes}.items(), desc="places", unit="place"):
        images = _composites(photos, backgrounds, place)
        hits[name] = predict(model, images, device=device, batch=eval_batch)[0] == photos.labels
    return places_score({name: hits[name] for name in grid}, {name: hits[name] for name in sizes})


def places_score(
    cells: Mapping[str, Bool[np.ndarray, " n"]], sizes: Mapping[str, Bool[np.ndarray, " n"]]
) -> dict[str, Any]:
    """The score of hits by cell and by factor; see `judge_places`."""
    by_cell = np.stack([cells[name] for name in (_CENTRE, *_CORNERS, *_SIDES)])
    return {
        "count": by_cell.shape[1],
        "cells": {name: accuracy_summary(hit) for name, hit in cells.items()},
        "centre_bias": ratio_interval(by_cell, _centre_bias),
        "sizes": {
            name: accuracy_summary(hit) | {"relative": ratio_interval(np.stack([hit, sizes[_OWN]]), _relative)}
            for name, hit in sizes.items()
        },
    }


def brief_places(score: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a score's places for each further seed; nothing where it has none."""
    if "places" not in score:
        return {}
    found = score["places"]
    rates = {kind: {name: each["accuracy"] for name, each in found[kind].items()} for kind in ("cells", "sizes")}
    return {"places": {"centre_bias": found["centre_bias"]["value"], **rates}}


def _centre_bias(rates: np.ndarray) -> np.ndarray:
    """Of rates: the centre's, the corners', the sides' (`9 draws`)."""
    corners, sides = rates[1:5].min(0), rates[5:9].min(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((corners + sides) / (2 * rates[0]))


def _relative(rates: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(rates[0] / rates[1])


def _composites(
    photos: MaskedPhotos, backgrounds: UInt8[np.ndarray, "n h w 3"], place: Place
) -> UInt8[np.ndarray, "n h w 3"]:
    composites = np.empty_like(backgrounds)
    for number, (image, mask) in enumerate(zip(photos.images, photos.masks, strict=True)):
        composites[number] = paste_foreground(backgrounds[number], *move_foreground(image, mask, place))
    return composites
