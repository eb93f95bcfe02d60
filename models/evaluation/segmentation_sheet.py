"""The best, the median and the worst samples of each method, as a picture."""

from collections.abc import Sequence

from bgdata.masks.settings import CleanSettings
from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.sheets.sheet import SheetCell, SheetRow
from models.evaluation.segmentation import Evaluation, SampleScore, photo_of, predicted_mask
from models.segmenters.base import Segmenter

COLUMNS = ("best", "second best", "median", "next to the median", "second worst", "worst")


def sheet_row(
    segmenter: Segmenter, data: SegmentationSet, evaluation: Evaluation, *, clean: CleanSettings | None = None
) -> SheetRow:
    """The row of a method: its examples, predicted once more (no prediction is kept while the scores are made)."""
    return SheetRow(
        segmenter.name,
        tuple(_cell(segmenter, data, score, clean) for score in choose_examples(evaluation.scores)),
    )


def choose_examples(scores: Sequence[SampleScore]) -> list[SampleScore]:
    """The examples in the order of `COLUMNS`, by IoU; of fewer than six samples some come twice, of none none."""
    if not scores:
        return []
    ranked = sorted(scores, key=lambda score: (-score.iou, score.sample.id))
    last, middle = len(ranked) - 1, (len(ranked) - 1) // 2
    positions = (0, 1, middle, middle + 1, last - 1, last)
    return [ranked[min(max(position, 0), last)] for position in positions]


def _cell(segmenter: Segmenter, data: SegmentationSet, score: SampleScore, clean: CleanSettings | None) -> SheetCell:
    truth = data.read(score.sample)
    (answer,) = segmenter.segment([photo_of(score.sample, truth)])
    found = predicted_mask(score.sample, truth, answer, clean=clean)
    words = f"IoU {score.iou:.3f}" if score.miss is None else f"nothing found ({score.miss})"
    return SheetCell(truth.image, truth.mask, found, (f"{score.sample.category}: {words}", score.sample.image_id))
