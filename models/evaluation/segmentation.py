"""How well a segmenter finds what it is asked for, on sets with true masks.

The protocol (ours, since none is published): a sample is an image and a category; the category is the prompt, the union
of its masks the truth; void pixels do not count; nothing found scores 0 and is counted as a miss.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import check_same_size, dice, iou
from bgdata.masks.settings import CleanSettings
from bgdata.randomness import seeded_order
from bgdata.segmentation_sets.base import Sample, SegmentationSet, Truth, UnusableTruth
from bgdata.segmentation_sets.unusable import Unusable
from models.segmenters.base import Photo, Segmentation, Segmenter


@dataclass(frozen=True)
class SampleScore:
    """One sample's IoU and Dice; `miss` is the reason where the segmenter found nothing (both are 0 then)."""

    sample: Sample
    iou: float
    dice: float
    miss: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """The scores of a segmenter on a set, and the samples of the choice that could not be scored."""

    scores: tuple[SampleScore, ...]
    unusable: tuple[Unusable, ...] = ()


class TrueMasks:
    """The truths of a set as a segmenter: a check of the judge, which must give it 1 on every sample, uncleaned."""

    name = "given"

    def __init__(self, data: SegmentationSet) -> None:
        self._data = data
        self._samples = {sample.id: sample for sample in data.samples}

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Read each photo's truth again."""
        return [Segmentation(self._data.read(self._samples[photo.id]).mask) for photo in photos]


def choose_samples(data: SegmentationSet, *, count: int, seed: int) -> list[Sample]:
    """A seeded choice of up to `count` samples, in the set's order."""
    order = seeded_order(seed, [sample.id for sample in data.samples], "segmentation")[:count]
    return [data.samples[position] for position in sorted(order)]


def evaluate_segmenter(
    segmenter: Segmenter,
    data: SegmentationSet,
    *,
    count: int,
    seed: int,
    clean: CleanSettings | None = None,
    workers: int = 1,
    batch: int = 8,
) -> Evaluation:
    """Score a segmenter on a seeded choice of up to `count` samples.

    One worker calls the segmenter with `batch` photos at a time, for networks, while a thread decodes the next ones;
    several call it at the same time with a photo each, for OpenCV, which computes outside Python's lock. Two batches,
    or a photo a worker, are in memory. `clean` tidies the predictions as the segment stage does.

    Samples whose files turn out to be missing or broken are counted, not scored.

    Raises InputError where a prediction is not of its photo's size.
    """
    samples = choose_samples(data, count=count, seed=seed)
    size = 1 if workers > 1 else batch
    batches = [samples[start : start + size] for start in range(0, len(samples), size)]

    def score(truths: Sequence[tuple[Sample, Truth | Unusable]]) -> list[SampleScore | Unusable]:
        return _score_batch(segmenter, truths, clean)

    results: list[SampleScore | Unusable] = []
    label = f"evaluate {segmenter.name} on {data.name}"
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(samples), desc=label, unit="sample", mininterval=1.0) as bar,
    ):
        if workers > 1:
            scored = pool.map(lambda chosen: score(_read_batch(data, chosen)), batches)
        else:
            scored = map(score, _read_ahead(pool, data, batches))
        for scores in scored:
            results += scores
            bar.update(len(scores))
    return Evaluation(
        tuple(result for result in results if isinstance(result, SampleScore)),
        tuple(result for result in results if isinstance(result, Unusable)),
    )


def photo_of(sample: Sample, truth: Truth) -> Photo:
    """What the segmenter gets to see of a sample; it has no ImageNet class."""
    return Photo(sample.id, label=0, wnid="", image=truth.image, box=truth.box, prompt=(sample.category,))


def predicted_mask(
    sample: Sample, truth: Truth, answer: Segmentation, *, clean: CleanSettings | None
) -> Bool[np.ndarray, "h w"] | None:
    """The mask that is scored, tidied; None where nothing was found.

    Raises InputError where it is not of the photo's size.
    """
    if answer.mask is None or not answer.mask.any():
        return None
    check_same_size(answer.mask, truth.image.shape, name=sample.id)
    return answer.mask if clean is None else clean_mask(answer.mask, clean)


def score_answer(
    sample: Sample, truth: Truth, answer: Segmentation, *, clean: CleanSettings | None = None
) -> SampleScore:
    """Score one answer; an answer without a pixel is a miss (`empty` where the segmenter gives no reason).

    Raises InputError where the mask is not of the photo's size.
    """
    mask = predicted_mask(sample, truth, answer, clean=clean)
    if mask is None:
        return SampleScore(sample, 0.0, 0.0, miss=answer.reason or "empty")
    return SampleScore(
        sample,
        iou(mask, truth.mask, void=truth.void, name=sample.id),
        dice(mask, truth.mask, void=truth.void, name=sample.id),
    )


def _score_batch(
    segmenter: Segmenter, truths: Sequence[tuple[Sample, Truth | Unusable]], clean: CleanSettings | None
) -> list[SampleScore | Unusable]:
    usable = [(sample, truth) for sample, truth in truths if isinstance(truth, Truth)]
    answers = segmenter.segment([photo_of(sample, truth) for sample, truth in usable]) if usable else []
    scores = [
        score_answer(sample, truth, answer, clean=clean)
        for (sample, truth), answer in zip(usable, answers, strict=True)
    ]
    return [*scores, *(truth for _, truth in truths if isinstance(truth, Unusable))]


def _read_batch(data: SegmentationSet, samples: Sequence[Sample]) -> list[tuple[Sample, Truth | Unusable]]:
    return [(sample, _read(data, sample)) for sample in samples]


def _read(data: SegmentationSet, sample: Sample) -> Truth | Unusable:
    try:
        return data.read(sample)
    except UnusableTruth as unusable:
        return Unusable(f"sample {sample.id}", unusable.reason, unusable.detail)


def _read_ahead(
    pool: ThreadPoolExecutor, data: SegmentationSet, batches: Sequence[Sequence[Sample]]
) -> Iterator[list[tuple[Sample, Truth | Unusable]]]:
    coming: deque[Future[list[tuple[Sample, Truth | Unusable]]]] = deque()
    for samples in batches:
        coming.append(pool.submit(_read_batch, data, samples))
        if len(coming) > 1:
            yield coming.popleft().result()
    yield from (last.result() for last in coming)
