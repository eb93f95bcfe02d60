"""The judge of segmenters: its protocol, its numbers, and the samples that it shows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.io import decode_image
from bgdata.masks.metrics import dice, iou
from bgdata.masks.settings import CleanSettings
from bgdata.segmentation_sets.base import Sample, SegmentationSet, Truth, UnusableTruth, count_samples, truth_of
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.segmentation_sets.unusable import Unusable
from bgdata.shards import ImageSet
from bgdata.sheets.sheet import draw_sheet
from models.evaluation.segmentation import (
    Evaluation,
    SampleScore,
    TrueMasks,
    choose_samples,
    evaluate_segmenter,
    score_answer,
)
from models.evaluation.segmentation_sheet import COLUMNS, choose_examples, sheet_row
from models.evaluation.segmentation_summary import bootstrap_intervals, summarise
from models.segmenters.base import Photo, Segmentation, Segmenter
from models.segmenters.grabcut import GrabCut
from tests.bgdata.conftest import draw_photo, write_sets

SIZE = (40, 50)
CLEAN = CleanSettings(min_piece=0.1, max_hole=0.1, largest_only=False)


class Squares:
    """A set of grey photos with a square each; `bad` ones have no truth of use. Every read is noted."""

    name = "squares/val"
    clustered_by: Literal["image", "sequence"] = "sequence"
    unusable = ()

    def __init__(self, count: int, *, bad: Sequence[int] = ()) -> None:
        self.samples = tuple(Sample(f"s{n}", f"s{n}", f"kind {n % 3}", cluster=f"q{n // 4}") for n in range(count))
        self.counts = count_samples(self.samples, images=count)
        self.reads: list[str] = []
        self._bad = {f"s{n}" for n in bad}

    def read(self, sample: Sample) -> Truth:
        self.reads.append(sample.id)
        if sample.id in self._bad:
            raise UnusableTruth("empty_truth")
        mask, void = np.zeros((2, *SIZE), bool)
        mask[10:20, 10:20] = True
        void[20:22, 10:20] = True
        return truth_of(np.full((*SIZE, 3), int(sample.id[1:]), np.uint8), mask, void)


class Answers:
    """A segmenter that answers each photo as it is told; the calls are noted."""

    name = "answers"

    def __init__(self, answer: Segmentation | dict[str, Segmentation]) -> None:
        self.answer = answer
        self.calls: list[list[Photo]] = []

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        self.calls.append(list(photos))
        return [self.answer if isinstance(self.answer, Segmentation) else self.answer[photo.id] for photo in photos]


def rows_down_to(row: int) -> Segmentation:
    mask = np.zeros(SIZE, bool)
    mask[10:row, 10:20] = True
    return Segmentation(mask)


def judge(segmenter: Segmenter, data: SegmentationSet, **options: Any) -> Evaluation:
    return evaluate_segmenter(segmenter, data, **{"count": 100, "seed": 0} | options)


# Metrics

pairs = st.tuples(st.integers(1, 8), st.integers(1, 8)).flatmap(
    lambda shape: st.tuples(*(arrays.arrays(bool, shape) for _ in range(3)))
)


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_dice_is_twice_iou_over_one_more_also_with_void(masks: tuple[np.ndarray, ...]) -> None:
    mask, truth, void = masks
    overlap = iou(mask, truth, void=void)
    assert dice(mask, truth, void=void) == pytest.approx(2 * overlap / (1 + overlap))


@given(pairs)
@settings(max_examples=150, deadline=None)
def test_what_is_said_of_void_pixels_changes_nothing(masks: tuple[np.ndarray, ...]) -> None:
    mask, truth, void = masks
    counted = ~void
    assert iou(mask, truth, void=void) == iou(mask | void, truth & counted, void=void)
    assert iou(mask, truth, void=void) == iou(mask[counted][None], truth[counted][None])


def test_void_counted_by_hand() -> None:
    mask, truth, void = (np.array([[int(bit) for bit in bits]], bool) for bits in ("111000", "011100", "100001"))
    assert iou(mask, truth, void=void) == 2 / 3
    assert dice(mask, truth, void=void) == 4 / 5
    with pytest.raises(InputError, match=r"mask a \(void\) is 1x5, its image is 1x6"):
        iou(mask, truth, void=void[:, 1:], name="a")


# The protocol


def test_a_segmenter_sees_the_category_and_the_truths_box() -> None:
    segmenter = Answers(rows_down_to(20))
    judge(segmenter, Squares(2))
    (photos,) = segmenter.calls
    assert [(photo.id, photo.prompt, photo.box) for photo in photos] == [
        ("s0", ("kind 0",), Box(10, 10, 20, 20)),
        ("s1", ("kind 1",), Box(10, 10, 20, 20)),
    ]


def test_the_truth_scores_exactly_one() -> None:
    data = Squares(11)
    summary = summarise(judge(TrueMasks(data), data), clustered_by="image", seed=0)
    assert (summary["mean_iou"], summary["mean_dice"], summary["count"], summary["misses"]) == (1.0, 1.0, 11, 0)
    assert summary["interval"]["mean_iou"] == [1.0, 1.0]


def test_void_rows_are_not_held_against_a_prediction() -> None:
    scores = [judge(Answers(rows_down_to(row)), Squares(1)).scores[0].iou for row in (15, 20, 22, 24)]
    assert scores == [0.5, 1.0, 1.0, 100 / 120]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Segmentation(None, reason="no_detection"), "no_detection"),
        (Segmentation(np.zeros(SIZE, bool)), "empty"),
        (Segmentation(None), "empty"),
    ],
)
def test_nothing_found_scores_zero_and_is_counted(answer: Segmentation, reason: str) -> None:
    data = Squares(4)
    answers = {sample.id: rows_down_to(20) for sample in data.samples} | {"s1": answer}
    summary = summarise(judge(Answers(answers), data, clean=CLEAN), clustered_by="image", seed=0)
    assert (summary["mean_iou"], summary["count"], summary["misses"]) == (0.75, 4, 1)
    assert summary["without_misses"] == {"mean_iou": 1.0, "mean_dice": 1.0, "count": 3, "misses": 0}
    assert summary["miss_reasons"] == {reason: 1}


def test_truths_of_no_use_are_counted_and_not_scored() -> None:
    data = Squares(6, bad=[1, 4])
    evaluation = judge(Answers(rows_down_to(20)), data, batch=2)
    assert evaluation.unusable == tuple(Unusable(f"sample s{n}", "empty_truth") for n in (1, 4))
    assert [score.sample.id for score in evaluation.scores] == ["s0", "s2", "s3", "s5"]
    none = judge(Answers(rows_down_to(20)), Squares(2, bad=[0, 1]))
    summary = summarise(none, clustered_by="sequence", seed=0)
    assert (summary["mean_iou"], summary["count"], summary["interval"]) == (None, 0, None)
    assert (summary["per_category"], summary["category_mean"]["mean_iou"]) == ({}, None)


def test_predictions_are_tidied_where_that_is_asked() -> None:
    data, answer = Squares(1), rows_down_to(20)
    answer.mask[30, 30] = True
    assert judge(Answers(answer), data).scores[0].iou == 100 / 101
    assert judge(Answers(answer), data, clean=CLEAN).scores[0].iou == 1.0


def test_a_prediction_of_another_size_is_named() -> None:
    with pytest.raises(InputError, match=r"mask s0 is 40x49, its image is 40x50"):
        judge(Answers(Segmentation(np.ones((40, 49), bool))), Squares(3))
    with pytest.raises(InputError, match=r"mask s0 is 40x49"):
        judge(Answers(Segmentation(np.ones((40, 49), bool))), Squares(3), workers=2)


def test_the_choice_is_seeded_and_smaller_ones_lie_in_larger_ones() -> None:
    data = Squares(30)
    few, more, other = (
        {sample.id for sample in choose_samples(data, count=count, seed=seed)}
        for count, seed in ((5, 0), (12, 0), (5, 1))
    )
    assert len(few) == 5
    assert few < more
    assert few != other
    assert choose_samples(data, count=99, seed=0) == list(data.samples)


@pytest.mark.parametrize("batch", [1, 4, 7, 100])
def test_one_worker_takes_batches_and_reads_ahead(batch: int) -> None:
    data, segmenter = Squares(10), Answers(rows_down_to(18))
    evaluation = judge(segmenter, data, batch=batch)
    assert [len(photos) for photos in segmenter.calls] == [min(batch, 10 - start) for start in range(0, 10, batch)]
    assert data.reads == [sample.id for sample in data.samples]
    assert evaluation == judge(Answers(rows_down_to(18)), Squares(10), workers=3)


def test_no_more_than_two_batches_are_read_ahead() -> None:
    data = Squares(12)

    class Watching(Answers):
        def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
            assert len(data.reads) <= 3 * (len(self.calls) + 2)
            return super().segment(photos)

    judge(Watching(rows_down_to(20)), data, batch=3)


# The numbers


def scores_of(values: Sequence[float], *, per_cluster: int = 1) -> tuple[SampleScore, ...]:
    return tuple(
        SampleScore(
            Sample(f"s{n}", f"s{n}", f"kind {n % 2}", cluster=f"q{n // per_cluster:04d}"),
            value,
            2 * value / (1 + value),
            None if value else "empty",
        )
        for n, value in enumerate(values)
    )


def test_a_summary_counted_by_hand() -> None:
    scores = scores_of([1.0, 0.5, 0.0, 0.5, 0.5, 0.5], per_cluster=4)
    summary = summarise(
        Evaluation(scores, (Unusable("sample s8", "empty_truth"), Unusable("sample s9", "empty_truth"))),
        clustered_by="sequence",
        seed=0,
    )
    assert summary["mean_iou"] == 0.5
    assert summary["without_misses"]["mean_iou"] == pytest.approx(0.6)
    assert summary["per_category"]["kind 0"]["mean_iou"] == 0.5
    assert summary["per_category"]["kind 0"]["misses"] == 1
    assert summary["per_category"]["kind 1"]["mean_dice"] == pytest.approx(2 / 3)
    assert summary["category_mean"] == {"mean_iou": 0.5, "mean_dice": pytest.approx((5 / 9 + 2 / 3) / 2), "count": 2}
    assert summary["per_sequence"]["q0000"]["count"] == 4
    assert summary["sequence_mean"]["mean_iou"] == 0.5
    assert summary["unusable"] == {"empty_truth": 2}
    assert json.loads(json.dumps(summary)) == summary
    assert "per_sequence" not in summarise(Evaluation(scores), clustered_by="image", seed=0)


def test_the_interval_is_that_of_the_means_spread() -> None:
    values = np.random.default_rng(0).beta(5, 2, 400)
    interval = bootstrap_intervals(scores_of(values.tolist()), seed=0)
    assert interval is not None
    expected = values.mean() + np.array([-1.96, 1.96]) * values.std() / 20
    assert interval["mean_iou"] == pytest.approx(expected.tolist(), abs=0.003)
    assert (interval["clusters"], interval["resamples"]) == (400, 2000)
    assert interval == bootstrap_intervals(scores_of(values.tolist()), seed=0)
    assert interval != bootstrap_intervals(scores_of(values.tolist()), seed=1)


def test_alike_samples_of_a_cluster_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(0).beta(5, 2, 40)
    alone = bootstrap_intervals(scores_of(values.tolist()), seed=0)
    copied = bootstrap_intervals(scores_of(np.repeat(values, 10).tolist(), per_cluster=10), seed=0)
    naive = bootstrap_intervals(scores_of(np.repeat(values, 10).tolist()), seed=0)
    assert alone is not None and copied is not None and naive is not None
    width = {name: np.ptp(one["mean_iou"]) for name, one in (("alone", alone), ("copied", copied), ("naive", naive))}
    assert width["copied"] == pytest.approx(width["alone"], rel=1e-6)
    assert width["naive"] < 0.5 * width["copied"]


def test_one_cluster_has_no_interval() -> None:
    assert bootstrap_intervals(scores_of([0.5, 0.6], per_cluster=2), seed=0) is None


# The samples that are shown


def test_the_shown_samples_are_best_median_and_worst() -> None:
    shown = choose_examples(scores_of([0.1, 0.9, 0.5, 0.7, 0.3, 0.2, 0.8, 0.6, 0.4]))
    assert [score.iou for score in shown] == [0.9, 0.8, 0.5, 0.4, 0.2, 0.1]
    assert [score.iou for score in choose_examples(scores_of([0.4, 0.2]))] == [0.4, 0.2, 0.4, 0.2, 0.4, 0.2]
    assert len(choose_examples(scores_of([0.4]))) == len(COLUMNS)
    assert choose_examples([]) == []


def test_a_row_shows_what_was_scored() -> None:
    data = Squares(8)
    answers = {sample.id: rows_down_to(11 + n) for n, sample in enumerate(data.samples)}
    segmenter = Answers(answers | {"s7": Segmentation(None, reason="no_box")})
    row = sheet_row(segmenter, data, judge(segmenter, data))
    assert [cell.caption for cell in row.cells][0::5] == [
        ("kind 0: IoU 0.700", "s6"),
        ("kind 1: nothing found (no_box)", "s7"),
    ]
    assert row.cells[-1].found is None
    np.testing.assert_array_equal(row.cells[0].found, answers["s6"].mask)
    assert decode_image(draw_sheet([row, row], title=data.name, columns=COLUMNS)).shape[1] > 1300


# Our own photos


@pytest.fixture(scope="module")
def photo_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    return write_sets(tmp_path_factory.mktemp("photos"), photos)


def test_grabcut_on_photos_is_the_same_for_any_threads(photo_folders: tuple[Path, Path]) -> None:
    segmenter = GrabCut(iterations=1, seed=0)
    with ImageSet(photo_folders[0]) as photos, ImageSet(photo_folders[1]) as masks:
        data = PhotoSet(photos, masks)
        one = judge(segmenter, data, count=5)
        assert len(one.scores) == 5
        assert one == judge(segmenter, data, count=5, workers=3)
        assert one != judge(segmenter, data, count=5, seed=1)
        assert judge(TrueMasks(data), data).scores[0].iou == 1.0


def test_score_answer_takes_the_truth_as_it_is() -> None:
    data = Squares(1)
    truth = data.read(data.samples[0])
    assert score_answer(data.samples[0], truth, rows_down_to(15)) == SampleScore(data.samples[0], 0.5, 2 / 3)
