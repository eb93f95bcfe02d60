"""The demo's scenes as sets with true masks, in the layouts of COCO, PASCAL VOC 2012 and DAVIS-2016.

The categories are the nine classes' names. `images` is how many photos or frames are written, `size` their shorter side
in pixels, `difficulty` as in `SyntheticSettings`; all sceneries are equally likely. The bytes depend on the arguments
alone. In each folder the file that lists the rest is written last.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.geometry import mask_box
from bgdata.io import encode_jpeg, encode_mask, encode_palette
from bgdata.labels import CLASS_NAMES
from bgdata.masks.rle import encode_polygons, encode_rle, encode_runs
from bgdata.parallel import map_tasks
from bgdata.segmentation_sets.base import OWN_CATEGORIES
from bgdata.segmentation_sets.voc import VOID, voc_palette
from bgdata.shards import write_csv, write_text_whole
from bgdata.synthetic.ensemble import Ensemble, draw_group, draw_walk
from bgdata.synthetic.objects import KINDS, Kind

_JPEG_QUALITY = 92
_FRAMES = 6  # of a sequence
_TRAIN_FIRST = 1_000_000  # the number of the first scene of train: beyond those of any val


def write_coco(
    root: Path,
    *,
    images: int,
    size: int,
    difficulty: float,
    seed: int,
    split: str = "val2017",
    first: int = 0,
    workers: int = 1,
) -> None:
    """Write `annotations/instances_<split>.json` and `<split>/`; sets whose photos begin at other numbers (`first`)
    show other scenes.

    Of ten photos six show one object, two show two of different classes, one two of a kind, and one a crowd of two; the
    last photo of all shows none. Masks are polygons where these are exact, else (and each fourth) compressed run
    lengths; crowds are run lengths in numbers, as COCO's are. `workers` processes draw.
    """
    photos = root / split
    for folder in (photos, root / "annotations"):
        folder.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    casts = [(number, _cast(number) if number < first + images - 1 else []) for number in range(first, first + images)]
    draw = partial(_draw_photo, size=size, difficulty=difficulty, seed=seed)
    for (number, kinds), group in zip(casts, map_tasks(draw, casts, workers=workers), strict=True):
        height, width = group.image.shape[:2]
        record = {"id": number + 1, "file_name": f"{number + 1:012d}.jpg", "height": height, "width": width}
        (photos / record["file_name"]).write_bytes(encode_jpeg(group.image, _JPEG_QUALITY))
        records.append(record)
        for label, mask, crowd in _instances(kinds, group, crowd=number % 10 == 9):
            place = {"id": len(annotations) + 1, "image_id": number + 1, "category_id": label + 1}
            annotations.append(place | _annotation(mask, crowd=crowd, as_rle=len(annotations) % 4 == 3))
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASS_NAMES, start=1)]
    contents = {"images": records, "annotations": annotations, "categories": categories}
    write_text_whole(root / "annotations" / f"instances_{split}.json", json.dumps(contents))


def write_scenes(
    root: Path, *, train: int, val: int, size: int, difficulty: float, seed: int, workers: int = 1
) -> None:
    """Write `train` and `val` images in the layout of COCO, as `train2017` and `val2017`: no scene is in both."""
    common: dict[str, Any] = {"size": size, "difficulty": difficulty, "seed": seed, "workers": workers}
    for split, images, first in (("train2017", train, _TRAIN_FIRST), ("val2017", val, 0)):
        write_coco(root, images=images, split=split, first=first, **common)


def write_voc(root: Path, *, images: int, size: int, difficulty: float, seed: int) -> None:
    """Write `VOCdevkit/VOC2012`, with `categories.csv`: of five photos three show one object, one two of different
    classes, and one two of a kind; void pixels part each object from what is behind it.
    """
    folder = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = [{"index": label, "category": name} for label, name in enumerate(CLASS_NAMES, start=1)]
    write_csv(folder / OWN_CATEGORIES, ("index", "category"), rows)
    stems = [f"2012_{number + 1:06d}" for number in range(images)]
    for number, stem in enumerate(stems):
        kinds = _cast(number)
        group = draw_group(kinds, name=f"voc.{number}", size=size, difficulty=difficulty, seed=seed)
        (folder / "JPEGImages" / f"{stem}.jpg").write_bytes(encode_jpeg(group.image, _JPEG_QUALITY))
        mask = encode_palette(_class_indices(kinds, group), voc_palette())
        (folder / "SegmentationClass" / f"{stem}.png").write_bytes(mask)
    write_text_whole(folder / "ImageSets/Segmentation/val.txt", "".join(f"{stem}\n" for stem in stems))


def write_davis(root: Path, *, images: int, size: int, difficulty: float, seed: int) -> None:
    """Write `DAVIS`, with `categories.csv`: sequences of six frames (the last one may be shorter) in which one object
    moves across a scenery; a sequence bears its kind's name, which is not its category.
    """
    folder = root / "DAVIS"
    (folder / "ImageSets" / "480p").mkdir(parents=True, exist_ok=True)
    lines, rows = [], []
    for number, start in enumerate(range(0, images, _FRAMES)):
        kind = _kind(number)
        sequence = f"{kind.name.lower().replace(' ', '-')}-{number + 1}"
        rows.append({"sequence": sequence, "category": CLASS_NAMES[kind.label]})
        steps = min(_FRAMES, images - start)
        walk = draw_walk(kind, steps=steps, name=f"davis.{number}", size=size, difficulty=difficulty, seed=seed)
        lines += [_write_frame(folder, f"{sequence}/{step:05d}", frame) for step, frame in enumerate(walk)]
    write_csv(folder / OWN_CATEGORIES, ("sequence", "category"), rows)
    write_text_whole(folder / "ImageSets" / "480p" / "val.txt", "".join(f"{line}\n" for line in lines))


def _draw_photo(cast: tuple[int, list[Kind]], *, size: int, difficulty: float, seed: int) -> Ensemble:
    """The photo of a number and its kinds; in COCO's layout."""
    number, kinds = cast
    return draw_group(kinds, name=f"coco.{number}", size=size, difficulty=difficulty, seed=seed)


def _kind(number: int) -> Kind:
    """The kinds in turn: the first kind of each class, then the second of each."""
    return KINDS[(2 * number + number // (len(KINDS) // 2)) % len(KINDS)]


def _cast(number: int) -> list[Kind]:
    """The kinds in the n-th photo: one, two of different classes, or two of a kind."""
    first = _kind(number)
    return [[first], [first], [first], [first, _kind(number + 4)], [first, first]][number % 5]


def _instances(
    kinds: Sequence[Kind], group: Ensemble, *, crowd: bool
) -> Iterator[tuple[int, Bool[np.ndarray, "h w"], bool]]:
    """Yield label, mask and whether it is a crowd; an object that is all hidden is left out."""
    masks = [np.logical_or.reduce(group.masks)] if crowd and kinds else group.masks
    for kind, mask in zip(kinds, masks, strict=False):
        if mask.any():
            yield kind.label, mask, crowd


def _annotation(mask: Bool[np.ndarray, "h w"], *, crowd: bool, as_rle: bool) -> dict[str, Any]:
    box = mask_box(mask)
    assert box is not None, "hidden objects have no annotation"
    if crowd:
        segmentation: Any = encode_runs(mask)
    else:
        segmentation = (None if as_rle else encode_polygons(mask)) or encode_rle(mask)
    return {
        "segmentation": segmentation,
        "area": int(mask.sum()),
        "bbox": [box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0],
        "iscrowd": int(crowd),
    }


def _class_indices(kinds: Sequence[Kind], group: Ensemble) -> UInt8[np.ndarray, "h w"]:
    indices = np.zeros(group.image.shape[:2], np.uint8)
    for kind, mask in zip(kinds, group.masks, strict=True):
        indices[mask] = kind.label + 1
    for mask in group.masks:
        border = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        indices[border > 0] = VOID
    return indices


def _write_frame(folder: Path, name: str, frame: Ensemble) -> str:
    """Write a frame and its mask, and return their line of the list."""
    contents = {
        f"JPEGImages/480p/{name}.jpg": encode_jpeg(frame.image, _JPEG_QUALITY),
        f"Annotations/480p/{name}.png": encode_mask(frame.masks[0]),
    }
    for place, data in contents.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    return " ".join(f"/{place}" for place in contents)


LAYOUTS = {"coco": write_coco, "voc": write_voc, "davis": write_davis}
