"""Average precision of boxes and masks as COCO defines it, and of any other draw of the same images.

pycocotools matches detections with objects, once an image. What follows (sorting by score, counting, the 101 recalls)
is done here for images that stand several times, so that a bootstrap matches nothing anew.
"""

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bgdata.errors import InputError
from bgdata.transfer_sets.base import LabelledImage
from bgdata.transfer_sets.coco import coco_truth

METRICS = ("box_ap", "box_ap50", "mask_ap", "mask_ap50")
_KINDS = {"box": "bbox", "mask": "segm"}
_DETECTIONS = 100  # of an image and category: those that COCO's AP counts
_RECALLS = np.linspace(0, 1, 101)
_CHUNK = 4_000_000  # numbers that are in memory at once


@dataclass(frozen=True)
class CategoryMatches:
    """What pycocotools made of a category: detections by falling score, and how many objects each image has.

    `image` says whose a detection is; `hits` and `misses` are by threshold of IoU; what matches a crowd is neither.
    """

    image: Int64[np.ndarray, " d"]
    hits: Bool[np.ndarray, "t d"]
    misses: Bool[np.ndarray, "t d"]
    objects: Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class AveragePrecision:
    """Box and mask AP of predictions; see `models.transfer.tasks.Scored`."""

    images: int
    matches: dict[str, list[CategoryMatches]]

    @property
    def values(self) -> dict[str, float]:
        """AP (the mean over the IoUs 0.5, 0.55 ... 0.95) and AP50 of boxes and of masks; means over categories."""
        once = self.resampled(np.ones((1, self.images), np.int64))
        return {metric: float(found[0]) for metric, found in once.items()}

    def resampled(self, counts: Int64[np.ndarray, "r n"]) -> dict[str, Float64[np.ndarray, " r"]]:
        """The same of r draws in which image i stands `counts[:, i]` times.

        Equal to pycocotools over the images so repeated (but where two detections of one image and category have
        exactly one score). Categories without an object in a draw are left out, as COCO does.
        """
        found: dict[str, Float64[np.ndarray, " r"]] = {}
        for kind, categories in self.matches.items():
            precisions = np.array([category_precision(one, counts) for one in categories])  # k r t
            whole, half = precisions.mean(2), precisions[:, :, 0]
            found |= {f"{kind}_ap": _mean_known(whole), f"{kind}_ap50": _mean_known(half)}
        return found


def measure(
    predictions: Sequence[Sequence[dict[str, Any]]], truth: Iterable[LabelledImage], categories: Sequence[str]
) -> AveragePrecision:
    """Match COCO's results of each image (without `image_id`; `category_id` is the label and 1) with its objects.

    `truth` is read once and not kept. Crowds are regions that count neither way; an image without objects counts, as
    all that is found there is wrong.

    Raises InputError where images and predictions are not equally many, or there is no object at all.
    """
    dataset = coco_truth(truth, categories)
    images = len(dataset["images"])
    if images != len(predictions):
        raise InputError(
            f"{len(predictions)} images were predicted and {images} are to be judged: give the same images"
        )
    if all(one["iscrowd"] for one in dataset["annotations"]):
        raise InputError(f"none of the {images} images has an object (crowds do not count): AP needs at least one")
    results = [{**one, "image_id": number} for number, found in enumerate(predictions, start=1) for one in found]
    return AveragePrecision(images, {name: [*_match(dataset, results, kind)] for name, kind in _KINDS.items()})


def category_precision(matches: CategoryMatches, counts: Int64[np.ndarray, "r n"]) -> Float64[np.ndarray, "r t"]:
    """AP of one category by draw and threshold of IoU; NaN where a draw has no object.

    Source: COCO's: the mean over 101 recalls of the best precision at that recall or a higher one (0 beyond).
    """
    draws, detections = len(counts), len(matches.image)
    rows = max(1, _CHUNK // max(1, detections))
    parts = [_chunk_precision(matches, counts[start : start + rows]) for start in range(0, draws, rows)]
    return np.concatenate(parts)


def _chunk_precision(matches: CategoryMatches, counts: Int64[np.ndarray, "r n"]) -> Float64[np.ndarray, "r t"]:
    times = counts[:, matches.image]
    objects = counts @ matches.objects
    found = [_at_threshold(times, objects, *each) for each in zip(matches.hits, matches.misses, strict=True)]
    return np.stack(found, axis=1)


def _at_threshold(
    times: Int64[np.ndarray, "r d"],
    objects: Int64[np.ndarray, " r"],
    is_hit: Bool[np.ndarray, " d"],
    is_miss: Bool[np.ndarray, " d"],
) -> Float64[np.ndarray, " r"]:
    """AP by draw, from the detections that are hits alone: between two of them precision only falls."""
    hits = times[:, is_hit].cumsum(1)  # r h
    misses = (times * is_miss).cumsum(1)[:, is_hit]
    # pycocotools adds the spacing, and so does this, to the last bit.
    precision = hits / (misses + hits + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    share = np.divide(hits, objects[:, None], out=np.zeros_like(precision), where=objects[:, None] > 0)
    reached = np.searchsorted(_RECALLS, share, side="right")  # how many of the recalls
    mean = (best * np.diff(reached, axis=1, prepend=0)).sum(1) / len(_RECALLS)
    return np.where(objects > 0, mean, np.nan)


def _mean_known(values: Float64[np.ndarray, "k r"]) -> Float64[np.ndarray, " r"]:
    """The mean over categories, of those that are no NaN."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(0) / known.sum(0)


def _match(dataset: dict[str, Any], results: list[dict[str, Any]], kind: str) -> Iterator[CategoryMatches]:
    # pycocotools prints; it also writes into what it is given.
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = _index(dataset), _index(dataset | {"annotations": _as_annotations(results)})
        judge = COCOeval(truth, found, kind)
        judge.params.areaRng, judge.params.areaRngLbl = judge.params.areaRng[:1], judge.params.areaRngLbl[:1]
        judge.params.maxDets = [_DETECTIONS]
        judge.evaluate()
    thresholds, images = len(judge.params.iouThrs), len(dataset["images"])
    for start in range(0, len(judge.evalImgs), images):
        yield _sorted_matches(judge.evalImgs[start : start + images], thresholds)


def _index(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset | {"annotations": [dict(one) for one in dataset["annotations"]]}
    coco.createIndex()
    return coco


def _as_annotations(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `COCO.loadRes` adds, which takes no empty list."""
    return [
        {**one, "id": number, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0}
        for number, one in enumerate(results, start=1)
    ]


def _sorted_matches(found: Sequence[dict[str, Any] | None], thresholds: int) -> CategoryMatches:
    """Join the images' matches of one category (None: an image has neither objects nor detections of it)."""
    objects = np.zeros(len(found), np.int64)
    scores, owners = [np.zeros(0)], [np.zeros(0, np.int64)]
    matched, ignored = [np.zeros((thresholds, 0), bool)], [np.zeros((thresholds, 0), bool)]
    for place, one in enumerate(found):
        if one is None:
            continue
        objects[place] = np.count_nonzero(one["gtIgnore"] == 0)
        scores.append(np.array(one["dtScores"], float))
        owners.append(np.full(len(one["dtScores"]), place))
        matched.append(one["dtMatches"] > 0)
        ignored.append(one["dtIgnore"].astype(bool))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    hit, passed = (np.concatenate(each, axis=1)[:, order] for each in (matched, ignored))
    return CategoryMatches(np.concatenate(owners)[order], hit & ~passed, ~hit & ~passed, objects)
