"""How well a segmenter finds the foreground: IoU and Dice against masks that came with the data."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from bgdata.labels import CLASS_FOLDERS
from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import dice, iou
from bgdata.masks.settings import CleanSettings
from bgdata.randomness import seeded_order
from bgdata.shards import ImageSet, Row
from models.segmenters.base import Photo, Segmentation, Segmenter, read_photo
from models.segmenters.given import GivenMasks


@dataclass(frozen=True)
class MaskScore:
    """One photo's scores; `missed` where the segmenter found nothing (both scores are 0 then, and count)."""

    label: int
    iou: float
    dice: float
    missed: bool


def evaluate_segmenter(
    segmenter: Segmenter,
    photos: ImageSet,
    given: ImageSet,
    *,
    count: int,
    seed: int,
    clean: CleanSettings | None = None,
    split: str = "val",
    workers: int = 1,
) -> dict[str, Any]:
    """Score a segmenter on a seeded sample of up to `count` photos of a split that have a given mask.

    Returns mean IoU, mean Dice (None where there is nothing to score), count, misses, the same by class, and how many
    given masks could not be used by reason. `clean` tidies the predictions as the segment stage does. `workers` threads
    share the work: OpenCV computes outside Python's lock, and seeds each thread's random numbers by itself.

    An empty prediction scores 0 and is counted as a miss, it is never skipped.
    """
    truths = GivenMasks(given)
    having = {row.id for row in given.rows}
    candidates = [row for row in photos.split(split) if row.id in having]
    order = seeded_order(seed, [row.id for row in candidates], "segmentation")[:count]
    sample = [candidates[position] for position in sorted(order)]

    def score(row: Row) -> MaskScore | str:
        photo = read_photo(photos, row)
        (truth,) = truths.segment([photo])
        if truth.mask is None:
            return truth.reason or "no_given_mask"
        (answer,) = segmenter.segment([photo])
        return score_mask(photo, answer, truth, clean=clean)

    with ThreadPoolExecutor(workers) as pool:
        results = list(tqdm(pool.map(score, sample), total=len(sample), desc="evaluate", unit="photo", mininterval=1.0))
    scores = [result for result in results if isinstance(result, MaskScore)]
    by_class = {label: [one for one in scores if one.label == label] for label in sorted({one.label for one in scores})}
    return {
        **_means(scores),
        "per_class": {CLASS_FOLDERS[label]: _means(of_class) for label, of_class in by_class.items()},
        "unusable": dict(sorted(Counter(result for result in results if isinstance(result, str)).items())),
    }


def score_mask(
    photo: Photo, answer: Segmentation, truth: Segmentation, *, clean: CleanSettings | None = None
) -> MaskScore:
    """Score one prediction against a truth that has a mask.

    Raises InputError where the prediction is not of the photo's size.
    """
    assert truth.mask is not None, "photos without a truth are not scored"
    mask = answer.mask if answer.mask is None or clean is None else clean_mask(answer.mask, clean)
    if mask is None or not mask.any():
        return MaskScore(photo.label, 0.0, 0.0, missed=True)
    return MaskScore(
        photo.label, iou(mask, truth.mask, name=photo.id), dice(mask, truth.mask, name=photo.id), missed=False
    )


def _means(scores: Sequence[MaskScore]) -> dict[str, Any]:
    count = len(scores)
    return {
        "mean_iou": sum(one.iou for one in scores) / count if count else None,
        "mean_dice": sum(one.dice for one in scores) / count if count else None,
        "count": count,
        "misses": sum(one.missed for one in scores),
    }
