"""Masks without their photos, as one file that may be shared where the photos may not; and the way back.

`masks.jsonl`: the first line tells of the file (classes, method, settings); each further line is a mask: the photo's
id and split, its size (height, width), and COCO's compressed run lengths.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from bgdata.classes import ClassList, read_class_list
from bgdata.errors import InputError
from bgdata.exports.target import claim_folder, progress, write_member
from bgdata.ingest.candidates import Candidate
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.io import decode_mask, encode_mask
from bgdata.masks.rle import decode_rle, encode_rle
from bgdata.shards import ImageSet

FILE = "masks.jsonl"
FORMAT = "bgdata masks 1"
_NOTE = "Masks of ImageNet's photos, which are not part of this file: python -m pipeline.apply_masks puts them beside."
# A stranger's file must not ask for more memory than any photo needs.
_MOST_PIXELS = 2**28
_IMAGENET_VAL = "ILSVRC2012_val_"


def export_masks(source: Path, folder: Path) -> int:
    """Write the masks of a set as `<folder>/<set>/masks.jsonl`; returns the count.

    Raises InputError where it is no set of masks in their photos' frames, or the folder is not empty.
    """
    with ImageSet(source) as masks:
        if "method" not in masks.manifest:
            raise InputError(f"{source} is not what the segment stage wrote: export its set, data/in9/masks")
        target = claim_folder(folder / source.name)
        partial = target / f"{FILE}.tmp"
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(_header(masks)) + "\n")
            for row in progress(masks.rows, f"export {source.name}"):
                rle = encode_rle(decode_mask(masks.read(row)))
                file.write(json.dumps({"id": row.id, "split": row.split, **rle}) + "\n")
        partial.replace(target / FILE)
        return len(masks.rows)


def apply_masks(file: Path, imagenet: Path) -> tuple[int, int]:
    """Write the masks of a file beside an ImageNet tree, as `masks/{train/<wnid>,val}/<stem>.png`, where ingest finds
    them and `segment.method: given` takes them; returns how many, and how many are of photos that the tree lacks.

    Raises InputError where the file is broken, the tree is none, masks lie there already, or no mask is of its photos.
    """
    masks = _lines(file)
    classes = _read_header(next(masks, None), file)
    tree = find_tree(imagenet, classes)
    photos = {candidate.id: candidate for candidate in list_candidates(tree) if candidate.photo}
    target = claim_folder(tree.top / "masks")
    written = lacking = 0
    for record in tqdm(masks, desc="masks", unit="mask", mininterval=1.0):
        candidate = photos.get(str(record.get("id")))
        mask = _read_mask(record, file)
        if candidate is None:
            lacking += 1
            continue
        write_member(target / _place(candidate), encode_mask(mask))
        written += 1
    if not written:
        raise InputError(f"none of the {lacking} masks of {file} is of a photo in {tree.home}: give their tree")
    return written, lacking


def _header(masks: ImageSet) -> dict[str, Any]:
    told = ("method", "settings", "seed")
    known: dict[str, Any] = {name: masks.manifest[name] for name in told if name in masks.manifest}
    return {"format": FORMAT, "note": _NOTE, "classes": masks.classes.to_record(), "masks": len(masks.rows), **known}


def _place(candidate: Candidate) -> Path:
    """Where a photo's mask lies: as the tree has it where the name says the split, else in its class's folder."""
    if candidate.split == "val" and candidate.stem.startswith(_IMAGENET_VAL):
        return Path("val", f"{candidate.stem}.png")
    return Path(candidate.split, candidate.wnid, f"{candidate.stem}.png")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        raise InputError(f"{file} is no file: give a masks.jsonl that python -m pipeline.export --format masks wrote")
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{file}, line {number}: expected JSON ({error}); fetch the file again") from None
            if not isinstance(record, dict):
                raise InputError(f"{file}, line {number}: expected an object; fetch the file again")
            yield record


def _read_header(header: Mapping[str, Any] | None, file: Path) -> ClassList:
    if header is None or header.get("format") != FORMAT:
        raise InputError(f"{file} is no file of masks: expected its first line to say {FORMAT!r}")
    return read_class_list(header.get("classes"), where=str(file))


def _read_mask(record: Mapping[str, Any], file: Path) -> Bool[np.ndarray, "h w"]:
    size = record.get("size")
    if not _is_size(size):
        raise InputError(f"{file}: the mask of {record.get('id')} is of the size {size}, expected [height, width]")
    try:
        return decode_rle(record, (size[0], size[1]))
    except InputError as error:
        raise InputError(f"{file}: the mask of {record.get('id')}: {error}; fetch the file again") from None


def _is_size(size: Any) -> TypeGuard[list[int]]:
    whole = isinstance(size, list) and len(size) == 2 and all(type(edge) is int and edge > 0 for edge in size)
    return whole and size[0] * size[1] <= _MOST_PIXELS
