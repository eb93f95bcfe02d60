"""A set as COCO's instances, in the folders that FiftyOne's COCODetectionDataset reads.

<folder>/<set>/<split>/data/<class>/<file>      the images
<folder>/<set>/<split>/labels.json              images, annotations (masks as run lengths), categories
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from bgdata.classes import ClassList
from bgdata.compose.names import FG_MASK, MIXED, VARIANTS
from bgdata.errors import InputError
from bgdata.exports.target import claim_folder, progress, write_member
from bgdata.ingest.photos import PHOTOS
from bgdata.io import decode_image, decode_mask
from bgdata.masks.rle import encode_rle
from bgdata.shards import SPLITS, ImageSet, Row, write_text_whole

_MASKS = "masks"
# In the others the object is gone: their images go along without an annotation.
_WITH_OBJECT = (PHOTOS, "original", "only_fg", *MIXED)


def export_coco(source: Path, folder: Path) -> int:
    """Write a variant or the photos as COCO's instances, one object an image; returns the count of images.

    The masks come from the set beside it: `fg_mask` for a variant, `masks` for `photos` (those without a mask get no
    annotation, and so do the variants from which the object is removed). A category's id is the label + 1.

    Raises InputError where the set is neither, its masks are missing or of another size, or the folder is not empty.
    """
    with ImageSet(source) as images, ImageSet(_masks_beside(source)) as masks:
        target = claim_folder(folder / source.name)
        of_photo = {row.id: row for row in masks.rows} if source.name in _WITH_OBJECT else {}
        for split in [split for split in SPLITS if images.split(split)]:
            record = _header(images.classes, f"{source.name}, {split}")
            for number, row in enumerate(progress(images.split(split), f"export {source.name} {split}"), start=1):
                data = images.read(row)
                write_member(target / split / "data" / row.name, data)
                mask = decode_mask(masks.read(of_photo[row.id])) if row.id in of_photo else None
                height, width = _size(row, data, mask, place=images.place(row))
                image = {"id": number, "file_name": row.name, "height": height, "width": width}
                record["images"].append(image)
                if mask is not None and mask.any():
                    record["annotations"].append(_annotation(number, row.label, mask))
            write_text_whole(target / split / "labels.json", json.dumps(record))
        return len(images.rows)


def _masks_beside(source: Path) -> Path:
    if source.name != PHOTOS and source.name not in VARIANTS:
        raise InputError(
            f"{source} has no masks of its images: as COCO go {PHOTOS} (with {_MASKS} beside it) and the variants "
            f"{', '.join(VARIANTS)} (with {FG_MASK}); name its folder so, or export it as a tree"
        )
    return source.resolve().parent / (_MASKS if source.name == PHOTOS else FG_MASK)


def _header(classes: ClassList, description: str) -> dict[str, Any]:
    categories = [
        {"id": label + 1, "name": name, "supercategory": classes.name} for label, name in enumerate(classes.names)
    ]
    return {"info": {"description": description}, "images": [], "annotations": [], "categories": categories}


def _size(row: Row, data: bytes, mask: Bool[np.ndarray, "h w"] | None, *, place: str) -> tuple[int, int]:
    """The image's size (height, width), which its mask must have."""
    size = _noted_size(row.extra) or decode_image(data).shape[:2]
    if mask is not None and mask.shape != size:
        raise InputError(f"{place} is {size} (height, width), its mask {mask.shape}: render or segment the sets anew")
    return size[0], size[1]


def _noted_size(extra: Mapping[str, str]) -> tuple[int, int] | None:
    return (int(extra["height"]), int(extra["width"])) if extra.get("height") and extra.get("width") else None


def _annotation(number: int, label: int, mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """One object: its box is `x y width height` in pixels, as COCO has it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": number,
        "category_id": label + 1,
        "segmentation": encode_rle(mask),
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "iscrowd": 0,
    }
