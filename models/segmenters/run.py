"""From a set of photos to the set of their masks, shard by shard in several processes."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.io import encode_mask
from bgdata.labels import CLASS_FOLDERS
from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import check_same_size
from bgdata.masks.quality import reject_reason
from bgdata.parallel import run_tasks
from bgdata.shards import (
    ImageSet,
    Row,
    ShardWriter,
    finish_set,
    member_name,
    shard_is_written,
    write_rejected,
    write_text_whole,
)
from models.segmenters.base import Photo, Segmentation, read_photo
from models.segmenters.factory import build_segmenter
from models.segmenters.settings import SegmentJob

MASKS = "masks"
COLUMNS = ("method", "score")
# Photos in memory at once, and in one call of the segmenter.
_BATCH = 8


def segment_photos(
    photos: Path, given: Path, work: Path, *, settings: SegmentJob, seed: int, workers: int
) -> dict[str, Any]:
    """Write the set `masks` into `work`, one shard for each shard of `photos`; returns its manifest.

    `given` is the set of masks that came with the data. The bytes depend on the sets, settings and seed, not on the
    workers; a killed run goes on where it was.

    Raises InputError where fewer than two masks of a class are left in a split.
    """
    with ImageSet(photos) as photo_set, ImageSet(given) as given_set:
        shards = _by_shard(photo_set.rows)
        given_rows = {row.id: row for row in given_set.rows}
    (work / MASKS).mkdir(parents=True, exist_ok=True)
    (work / "rejected").mkdir(exist_ok=True)
    tasks = [
        (photos, rows, given, _of_ids(given_rows, rows), work, settings, seed)
        for shard, rows in shards.items()
        if not shard_is_written(work / MASKS, shard)
    ]
    total = sum(len(task[1]) for task in tasks)
    run_tasks(_segment_shard, tasks, workers=workers, total=total, label="segment", unit="photo")
    rejected = [row for shard in shards for row in json.loads(_rejected_path(work, shard).read_text())]
    _check_classes([row for rows in shards.values() for row in rows], rejected)
    notes = {
        "method": settings.method,
        "photos": sum(map(len, shards.values())),
        "rejected": write_rejected(work / MASKS, rejected),
        "seed": seed,
        "settings": settings.model_dump(),
    }
    return finish_set(work / MASKS, columns=COLUMNS, notes=notes)


def _by_shard(rows: Sequence[Row]) -> dict[str, list[Row]]:
    shards: dict[str, list[Row]] = {}
    for row in rows:
        shards.setdefault(row.shard, []).append(row)
    return shards


def _of_ids(given: dict[str, Row], rows: Sequence[Row]) -> list[Row]:
    return [given[row.id] for row in rows if row.id in given]


def _rejected_path(work: Path, shard: str) -> Path:
    return work / "rejected" / f"{shard}.json"


def _segment_shard(
    photos: Path,
    rows: Sequence[Row],
    given: Path,
    given_rows: Sequence[Row],
    work: Path,
    settings: SegmentJob,
    seed: int,
) -> int:
    shard = rows[0].shard
    rejected = []
    with (
        ImageSet(photos, rows=rows) as photo_set,
        ImageSet(given, rows=given_rows) as given_set,
        ShardWriter(work / MASKS, shard) as writer,
    ):
        for row, answer in _segment_rows(photo_set, given_set, settings, seed):
            if answer.mask is None:
                cells = {"id": row.id, "split": row.split, "label": row.label, "reason": answer.reason}
                rejected.append(cells)
            else:
                writer.add(_mask_row(row, settings.method, answer.score), encode_mask(answer.mask))
        # Before the writer finishes: a finished shard has its rejections.
        write_text_whole(_rejected_path(work, shard), json.dumps(rejected))
    return len(rows)


def _segment_rows(
    photos: ImageSet, given: ImageSet, settings: SegmentJob, seed: int
) -> Iterator[tuple[Row, Segmentation]]:
    segmenter = build_segmenter(settings, seed=seed, given=given)
    for start in range(0, len(photos.rows), _BATCH):
        rows = photos.rows[start : start + _BATCH]
        batch = [read_photo(photos, row) for row in rows]
        for row, photo, answer in zip(rows, batch, segmenter.segment(batch), strict=True):
            yield row, judge_mask(photo, answer, settings)


def judge_mask(photo: Photo, answer: Segmentation, settings: SegmentJob) -> Segmentation:
    """The answer with its mask cleaned, or with the reason why that mask is rejected."""
    if answer.mask is None:
        return answer
    check_same_size(answer.mask, photo.image.shape, name=photo.id)
    mask = clean_mask(answer.mask, settings.clean)
    reason = reject_reason(mask, photo.box, settings.quality)
    return Segmentation(None if reason else mask, answer.score, reason)


def _mask_row(photo: Row, method: str, score: float | None) -> Row:
    name = member_name(photo.label, photo.id, "png")
    extra = {"method": method, "score": "" if score is None else f"{score:.6g}"}
    return Row(photo.id, photo.split, photo.label, photo.wnid, name, extra=extra)


def _check_classes(photos: Sequence[Row], rejected: Sequence[dict[str, Any]]) -> None:
    left = Counter((row.split, row.label) for row in photos)
    left.subtract(Counter((row["split"], row["label"]) for row in rejected))
    for (split, label), count in sorted(left.items()):
        if count >= 2:
            continue
        reasons = Counter(row["reason"] for row in rejected if (row["split"], row["label"]) == (split, label))
        words = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
        raise InputError(
            f"class {CLASS_FOLDERS[label]} has {'no mask' if count == 0 else 'a single mask'} in {split}, expected at "
            f"least 2 (rejected: {words}): add photos, loosen segment.quality or take another segment.method; masks "
            "that came with the data must be 0 and 255, of their photos' size"
        )
