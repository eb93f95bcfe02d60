"""Several masks of one photo, put into an order, none of them twice; and the columns that tell of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import iou
from bgdata.masks.settings import CleanSettings
from models.segmenters.base import Candidate

# Further columns of the index of masks, and those of the table of all candidates.
CHOICE_COLUMNS = ("candidate", "leak_score")
CANDIDATE_COLUMNS = (
    *("id", "split", "label", "candidate", "of", "score", "chosen", "reason"),
    *("leak_score", "foreground", "background", "share", "height", "width", "counts"),
)
# Masks that overlap more than this are one and the same. Source: ForAug (Nauen et al. 2025), which merges them.
_SAME = 0.9
_LARGEST = CleanSettings(min_piece=0.0, max_hole=0.0, largest_only=True)


def candidates_of(
    mask: Bool[np.ndarray, "h w"], parts: Iterable[Candidate] = (), *, score: float | None = None, count: int
) -> tuple[Candidate, ...]:
    """At most `count` masks: the method's own choice with its score, its largest piece, then those of its parts.

    Empty ones, and those that are nearly another's, are left out.
    """
    distinct: list[Candidate] = []
    if count > 0 and mask.any():
        distinct.append(Candidate(mask, "all", score))
        for one in (Candidate(clean_mask(mask, _LARGEST), "largest piece"), *parts):
            if len(distinct) == count:
                break
            if one.mask.any() and all(iou(one.mask, earlier.mask) <= _SAME for earlier in distinct):
                distinct.append(one)
    return tuple(distinct)


def count_choices(candidates: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Of the cells of all candidates: photos with several, and how often another than the method's own was chosen."""
    several = {row["id"] for row in candidates if row["candidate"] != "0"}
    others = [row for row in candidates if row["chosen"] and row["candidate"] != "0"]
    return {"candidates": len(candidates), "photos_with_several": len(several), "other_than_by_score": len(others)}
