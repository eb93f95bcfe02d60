"""The first pass of rendering: every photo decoded and cropped once, into a memory map.

The mixed variants paste a photo onto the background of any other one; with the crops at hand no photo is decoded twice.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.arrays import ArrayWriter, create_array
from bgdata.compose.background import has_strip
from bgdata.errors import InputError
from bgdata.geometry import Box, CentreCrop, mask_box
from bgdata.io import decode_image, decode_mask
from bgdata.masks.metrics import check_same_size
from bgdata.parallel import run_tasks
from bgdata.shards import ImageSet, Row, write_text_whole

_CHUNK = 256


@dataclass(frozen=True)
class Crops:
    """The crops of a set's photos, by position: pixels `n c c 3`, masks `n c c`, boxes, and reasons to leave one out.

    A box is the annotated one (where there is one) joined with the mask's, so that no foreground is left in a
    background.
    """

    pixels: UInt8[np.ndarray, "n c c 3"]
    masks: Bool[np.ndarray, "n c c"]
    boxes: list[Box | None]
    reasons: list[str | None]


def crop_photos(
    photos: Path, masks: Path, *, crop: CentreCrop, work: Path, workers: int, ids: Sequence[str] | None = None
) -> tuple[list[Row], Crops]:
    """Decode and crop photos, in parallel; returns their rows and crops: those of `ids`, or (None) all that have a
    mask, in the masks' order. Goes on after a kill.

    Raises InputError where a mask's size is not its photo's.
    """
    with ImageSet(photos) as photo_set, ImageSet(masks) as mask_set:
        mask_rows = mask_set.rows if ids is None else mask_set.by_id(ids)
        rows = photo_set.by_id(row.id for row in mask_rows)
    work.mkdir(parents=True, exist_ok=True)
    shape = (len(rows), crop.crop, crop.crop)
    for name, dtype, full in (("pixels", np.uint8, (*shape, 3)), ("masks", np.bool_, shape)):
        if not (work / f"{name}.npy").exists():
            for part in work.glob("crops-*.json"):  # of an array that is gone
                part.unlink()
            create_array(work / f"{name}.npy", dtype, full)
    starts = range(0, len(rows), _CHUNK)
    tasks = [
        (photos, rows[start : start + _CHUNK], masks, mask_rows[start : start + _CHUNK], start, crop, work)
        for start in starts
        if not _part(work, start).exists()
    ]
    total = sum(len(task[1]) for task in tasks)
    run_tasks(_crop_chunk, tasks, workers=workers, total=total, label="decode", unit="photo")
    parts = [part for start in starts for part in json.loads(_part(work, start).read_text())]
    boxes = [Box(*part["box"]) if part["box"] else None for part in parts]
    return rows, open_crops(work, boxes, [part["reason"] for part in parts])


def open_crops(work: Path, boxes: list[Box | None], reasons: list[str | None]) -> Crops:
    """The crops that `crop_photos` left in `work`, as read-only memory maps."""
    pixels, masks = (np.asarray(np.load(work / f"{name}.npy", mmap_mode="r")) for name in ("pixels", "masks"))
    return Crops(pixels, masks, boxes, reasons)


def _crop_chunk(
    photos: Path,
    rows: Sequence[Row],
    masks: Path,
    mask_rows: Sequence[Row],
    start: int,
    crop: CentreCrop,
    work: Path,
) -> int:
    parts: list[dict[str, Any]] = []
    with (
        ImageSet(photos, rows=rows) as photo_set,
        ImageSet(masks, rows=mask_rows) as mask_set,
        ArrayWriter(work / "pixels.npy") as pixels,
        ArrayWriter(work / "masks.npy") as foregrounds,
    ):
        for position, (photo_row, mask_row) in enumerate(zip(rows, mask_rows, strict=True), start):
            try:
                image = decode_image(photo_set.read(photo_row))
                mask = decode_mask(mask_set.read(mask_row))
            except InputError as error:
                raise InputError(f"photo {photo_row.id} or its mask: {error}") from None
            check_same_size(mask, image.shape, name=photo_row.id)
            pixels[position] = crop.image(image)
            foregrounds[position] = cut = crop.mask(mask)
            box = _joined_box(Box.from_cells(photo_row.extra), image.shape[:2], cut, crop)
            parts.append({"box": box, "reason": _reason(box, crop)})
    write_text_whole(_part(work, start), json.dumps(parts))
    return len(rows)


def _part(work: Path, start: int) -> Path:
    return work / f"crops-{start:08d}.json"


def _joined_box(box: Box | None, size: tuple[int, int], mask: np.ndarray, crop: CentreCrop) -> Box | None:
    shape = mask_box(mask)
    if shape is None or box is None:
        return shape
    box = crop.box(box, size)
    return Box(min(box.x0, shape.x0), min(box.y0, shape.y0), max(box.x1, shape.x1), max(box.y1, shape.y1))


def _reason(box: Box | None, crop: CentreCrop) -> str | None:
    if box is None:
        return "foreground_outside_crop"
    return None if has_strip(box, (crop.crop, crop.crop)) else "no_background"
