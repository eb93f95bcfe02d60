"""From a set of photos to the set of their masks, shard by shard."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bgdata.classes import ClassList, check_same
from bgdata.errors import InputError
from bgdata.io import encode_mask
from bgdata.parallel import read_ahead, run_tasks
from bgdata.prompts import class_prompt, hypernyms_prompt, synset_prompt
from bgdata.shards import (
    ImageSet,
    Row,
    ShardWriter,
    finish_set,
    shard_is_written,
    write_csv,
    write_rejected,
    write_text_whole,
)
from models.segmenters.base import Detection, Photo, Segmentation, Segmenter, read_photo
from models.segmenters.candidates import CANDIDATE_COLUMNS, CHOICE_COLUMNS, count_choices
from models.segmenters.factory import NETWORKS, ON_CPU, Means, build_segmenter
from models.segmenters.judging import judge_mask
from models.segmenters.settings import SegmentJob
from models.spread import network_on

if TYPE_CHECKING:
    from models.segmenters.leak_choice import LeakChoice

MASKS = "masks"
DETECTIONS = "detections.csv"
CANDIDATES = "candidates.csv"
COLUMNS = ("method", "score")
_DETECTION_COLUMNS = ("id", "split", "label", "phrase", "score", "x0", "y0", "x1", "y1", "mask_score")


@dataclass(frozen=True)
class _Job:
    """What every shard needs to know."""

    photos: Path
    given: Path
    work: Path
    settings: SegmentJob
    seed: int
    means: Means
    classes: ClassList

    @property
    def by_leak(self) -> bool:
        return self.settings.choose is not None and self.settings.choose.by == "leak"


def segment_photos(
    photos: Path,
    given: Path,
    work: Path,
    *,
    settings: SegmentJob,
    seed: int,
    workers: int,
    means: Means = ON_CPU,
) -> dict[str, Any]:
    """Write the set `masks` into `work`, one shard for each shard of `photos`; returns its manifest.

    `given` is the set of masks that came with the data. The set also holds `rejected.csv`, and `detections.csv` where
    the method detects: every box above the thresholds, with `mask_score` where it was kept. Where masks are chosen by
    leak, `candidates.csv` holds all of a photo's, as COCO's run lengths, with what was seen of each; the index says
    which was taken. The bytes depend on the sets, settings and seed, not on the workers; a killed run goes on where it
    was.

    Raises InputError where fewer than two masks of a class are left in a split that has photos.
    """
    with ImageSet(photos) as photo_set, ImageSet(given) as given_set:
        classes = check_same({str(photos): photo_set.classes, str(given): given_set.classes})
        shards = _by_shard(photo_set.rows)
        given_rows = {row.id: row for row in given_set.rows}
    job = _Job(photos, given, work, settings, seed, means, classes)
    (work / MASKS).mkdir(parents=True, exist_ok=True)
    (work / "answers").mkdir(exist_ok=True)
    left = [rows for shard, rows in shards.items() if not shard_is_written(work / MASKS, shard)]
    how: dict[str, Any] = {"workers": workers, "total": sum(map(len, left)), "label": "segment", "unit": "photo"}
    if settings.method in NETWORKS:
        tasks = [(job, rows) for rows in left]
        run_tasks(_segment_shard, tasks, network=network_on(means.device, _Seeing, job), **how)
    else:
        run_tasks(_segment_shard_alone, [(job, rows, _of_ids(given_rows, rows)) for rows in left], **how)
    return _finish(job, shards)


def _finish(job: _Job, shards: dict[str, list[Row]]) -> dict[str, Any]:
    answers = [json.loads(_answers_path(job.work, shard).read_text()) for shard in shards]
    rejected = [row for answer in answers for row in answer["rejected"]]
    detections = [row for answer in answers for row in answer["detections"]]
    _check_classes([row for rows in shards.values() for row in rows], rejected, job.classes)
    if detections:
        write_csv(job.work / MASKS / DETECTIONS, _DETECTION_COLUMNS, detections)
    notes = {
        "method": job.settings.method,
        "photos": sum(map(len, shards.values())),
        "rejected": write_rejected(job.work / MASKS, rejected),
        "seed": job.seed,
        "settings": job.settings.model_dump(exclude_none=True),
    }
    columns: tuple[str, ...] = COLUMNS
    if job.by_leak:
        candidates = [row for answer in answers for row in answer["candidates"]]
        write_csv(job.work / MASKS / CANDIDATES, CANDIDATE_COLUMNS, candidates)
        columns, notes = (*COLUMNS, *CHOICE_COLUMNS), notes | {"chosen": count_choices(candidates)}
    return finish_set(job.work / MASKS, classes=job.classes, columns=columns, notes=notes)


def _by_shard(rows: Sequence[Row]) -> dict[str, list[Row]]:
    shards: dict[str, list[Row]] = {}
    for row in rows:
        shards.setdefault(row.shard, []).append(row)
    return shards


def _of_ids(given: dict[str, Row], rows: Sequence[Row]) -> list[Row]:
    return [given[row.id] for row in rows if row.id in given]


def _answers_path(work: Path, shard: str) -> Path:
    return work / "answers" / f"{shard}.json"


class _Seeing:
    """What a shard is segmented by: a segmenter, and a classifier where masks are chosen by leak."""

    def __init__(self, job: _Job, given: ImageSet | None = None) -> None:
        self.segmenter = build_segmenter(job.settings, seed=job.seed, given=given, means=job.means)
        self.choice: LeakChoice | None = None
        if given is None and job.by_leak:
            from models.segmenters.leak_choice import load_leak_choice  # here: GrabCut's workers need no torch

            assert job.settings.choose, "by_leak"
            self.choice = load_leak_choice(job.settings.choose, job.classes, device=job.means.device)


def _segment_shard_alone(job: _Job, rows: Sequence[Row], given_rows: Sequence[Row]) -> Iterator[int]:
    with ImageSet(job.given, rows=given_rows) as given_set:
        yield from _segment_shard(_Seeing(job, given_set), job, rows)


def _segment_shard(seeing: _Seeing, job: _Job, rows: Sequence[Row]) -> Iterator[int]:
    """Segment a shard's photos; yields each as it is done."""
    shard = rows[0].shard
    rejected, detections, candidates = [], [], []
    with ImageSet(job.photos, rows=rows) as photos, ShardWriter(job.work / MASKS, shard) as writer:
        batches = _decoded_ahead(photos, job.settings, job.means.batch)
        answers = chain.from_iterable(_answers(seeing.segmenter, batch) for batch in batches)
        for row, (photo, answer) in zip(rows, answers, strict=True):
            further: dict[str, str] = {}
            cells = {"id": row.id, "split": row.split, "label": row.label}
            if seeing.choice is None:
                judged = judge_mask(photo, answer, job.settings)
            else:
                judged, further, seen = seeing.choice.choose(photo, answer, job.settings)
                candidates += [cells | candidate for candidate in seen]
            detections += [cells | _detection_cells(detection) for detection in answer.detections]
            if judged.mask is None:
                rejected.append(cells | {"reason": judged.reason})
            else:
                mask_row = _mask_row(row, job.settings.method, judged.score, further)
                writer.add(mask_row, encode_mask(judged.mask))
            yield 1
        # Before the writer finishes: a finished shard has its answers.
        text = json.dumps({"rejected": rejected, "detections": detections, "candidates": candidates})
        write_text_whole(_answers_path(job.work, shard), text)


def _answers(segmenter: Segmenter, batch: Sequence[Photo]) -> Iterator[tuple[Photo, Segmentation]]:
    return zip(batch, segmenter.segment(batch), strict=True)


def _decoded_ahead(photos: ImageSet, settings: SegmentJob, size: int) -> Iterator[list[Photo]]:
    """Batches of decoded photos; the next one is decoded in a thread while the segmenter has the last."""
    batches = [photos.rows[start : start + size] for start in range(0, len(photos.rows), size)]

    def decode(rows: Sequence[Row]) -> list[Photo]:
        return [
            replace(photo, prompt=prompt_of(photo, photos.classes, settings))
            for photo in (read_photo(photos, row) for row in rows)
        ]

    return read_ahead(decode, batches)


def prompt_of(photo: Photo, classes: ClassList, settings: SegmentJob) -> tuple[str, ...]:
    """What a segmenter that asks by text looks for in a photo; nothing where the method asks for nothing."""
    asking = settings.grounding_dino or settings.sam3
    if asking is None:
        return ()
    kind = asking.prompts
    if kind == "synset":
        return synset_prompt(photo.wnid)
    # Of a list's classes some have wnids, as folders of a tree that are named by them, and some have none.
    by_hypernyms = kind == "hypernyms" and photo.wnid
    return hypernyms_prompt(photo.wnid) if by_hypernyms else class_prompt(classes, photo.label)


def _detection_cells(detection: Detection) -> dict[str, Any]:
    edges = dict(zip(("x0", "y0", "x1", "y1"), (f"{edge:.1f}" for edge in detection.box), strict=True))
    mask_score = "" if detection.mask_score is None else f"{detection.mask_score:.4f}"
    return {"phrase": detection.phrase, "score": f"{detection.score:.4f}", **edges, "mask_score": mask_score}


def _mask_row(photo: Row, method: str, score: float | None, further: Mapping[str, str]) -> Row:
    name = photo.name_beside(photo.id, "png")
    extra = {"method": method, "score": "" if score is None else f"{score:.6g}", **further}
    return Row(photo.id, photo.split, photo.label, photo.wnid, name, extra=extra)


def _check_classes(photos: Sequence[Row], rejected: Sequence[dict[str, Any]], classes: ClassList) -> None:
    left = Counter((row.split, row.label) for row in photos)
    left.subtract(Counter((row["split"], row["label"]) for row in rejected))
    for (split, label), count in sorted(left.items()):
        if count >= 2:
            continue
        reasons = Counter(row["reason"] for row in rejected if (row["split"], row["label"]) == (split, label))
        words = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
        raise InputError(
            f"class {classes.folders[label]} has {'no mask' if count == 0 else 'a single mask'} in {split}, expected "
            f"at least 2 (rejected: {words}): add photos, loosen segment.quality or take another segment.method; masks "
            "that came with the data must be of their photos' size, with one foreground, brighter than the rest"
        )
