"""How much of an object a segmenter still finds where it was taken away."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from bgdata.geometry import Box
from models.evaluation.statistics import mean_interval
from models.segmenters.base import Photo, Segmenter

# Photos that a segmenter is given at once.
_BATCH = 8


def find_objects(
    segmenter: Segmenter,
    images: UInt8[np.ndarray, "n h w 3"],
    photos: Sequence[Photo],
    boxes: Sequence[Box],
    *,
    label: str,
) -> list[Bool[np.ndarray, "h w"] | None]:
    """What a segmenter finds in each image when it is asked for the photo's object, by its box and its name."""
    found: list[Bool[np.ndarray, "h w"] | None] = []
    asked = [
        Photo(photo.id, photo.label, photo.wnid, image, box, photo.prompt)
        for photo, image, box in zip(photos, images, boxes, strict=True)
    ]
    for start in tqdm(range(0, len(asked), _BATCH), desc=label, unit="batch", mininterval=1.0):
        found += [answer.mask for answer in segmenter.segment(asked[start : start + _BATCH])]
    return found


def found_share(found: Sequence[Bool[np.ndarray, "h w"] | None], masks: Bool[np.ndarray, "n h w"]) -> dict[str, Any]:
    """The share of each object's pixels that lies in what was found there (nothing found: 0), as a mean over the photos
    with its 95 % interval, and the share of photos where anything was found.
    """
    shares = np.array(
        [0.0 if one is None else float((one & mask).sum() / mask.sum()) for one, mask in zip(found, masks, strict=True)]
    )
    anything = float(np.mean([one is not None and bool(one.any()) for one in found]))
    return {
        "share": float(shares.mean()),
        "interval": mean_interval(shares),
        "anything_found": anything,
        "count": len(shares),
    }
