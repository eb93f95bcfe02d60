"""Segmenters judged one after the other on one set: their numbers, a sheet's rows, and what was of no use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.segmentation_sets.unusable import Unusable, count_reasons
from bgdata.sheets.sheet import SheetRow
from models.evaluation.segmentation import TrueMasks, evaluate_segmenter
from models.evaluation.segmentation_sheet import sheet_row
from models.evaluation.segmentation_summary import summarise
from models.segmenters.base import Segmenter
from models.segmenters.factory import NETWORKS, Means, build_segmenter
from models.segmenters.settings import SegmentJob, UNetStudentSettings


@dataclass
class Judgement:
    """What the judges say of a set: `data` (its name and counts) and `methods` go into the result as they are."""

    data: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, Any] = field(default_factory=dict)
    rows: list[SheetRow] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)


def judge_methods(
    data: SegmentationSet | None, settings: Mapping[str, Any], *, student: Path, means: Means, workers: int
) -> Judgement:
    """Judge `settings["methods"]`; nothing where there is no set, or no sample in it.

    `settings` are those of the stage (`methods`, `samples`, `segment`, `seed`); `student` is the trained U-Net's
    checkpoint. OpenCV's segmenters run in `workers` threads, networks in batches.
    """
    judgement = Judgement()
    if data is None or not data.samples:
        return judgement
    judgement.data = {"data": data.name, "counts": dict(data.counts)}
    if data.unusable:
        judgement.data["unusable"] = count_reasons(data.unusable)
    judgement.unusable += data.unusable
    for method in settings["methods"]:
        job = SegmentJob.model_validate({"method": method, **settings["segment"]})
        segmenter = _segmenter(job, data, seed=settings["seed"], student=student, means=means)
        # The truth is not tidied: it must score 1.
        clean = None if method == "given" else job.clean
        evaluation = evaluate_segmenter(
            segmenter,
            data,
            count=settings["samples"],
            seed=settings["seed"],
            clean=clean,
            workers=1 if method in NETWORKS else workers,
            batch=means.batch,
        )
        judgement.methods[method] = summarise(evaluation, clustered_by=data.clustered_by, seed=settings["seed"])
        judgement.rows.append(sheet_row(segmenter, data, evaluation, clean=clean))
        judgement.unusable += evaluation.unusable
    return judgement


def describe_methods(methods: Mapping[str, Mapping[str, Any]]) -> Sequence[str]:
    """A line for each method, to be printed."""
    return [
        f"{method}: mean IoU {score['mean_iou']}, misses {score['misses']}"
        + (f", unusable {sum(score['unusable'].values())}" if score["unusable"] else "")
        for method, score in methods.items()
    ]


def _segmenter(job: SegmentJob, data: SegmentationSet, *, seed: int, student: Path, means: Means) -> Segmenter:
    if job.method == "given":
        return TrueMasks(data)
    if job.method == "unet":
        job = job.model_copy(update={"unet": UNetStudentSettings(checkpoint=str(student))})
    return build_segmenter(job, seed=seed, means=means)
