"""Sets as SubpopBench reads its ImagenetBG: a `metadata.csv` with the class of each image and of its background.

Source: YyzHarry/SubpopBench, `subpopbench/dataset/datasets.py`. There every background is of group 0; here it is of the
class that it was taken from.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bgdata.classes import check_same
from bgdata.errors import InputError
from bgdata.exports.target import claim_folder, progress, write_member
from bgdata.shards import ImageSet, Row, write_csv

METADATA = "metadata.csv"
COLUMNS = ("split", "filename", "y", "a")
# SubpopBench tests on `test`, and on the variants by their names.
_SPLITS_BY_SET = {"original": "test"}
_NO_BACKGROUND = "only_fg"
_HELD_OUT = 10


def export_subpop(sources: Sequence[Path], folder: Path) -> int:
    """Write `<folder>/metadata.csv` and the images `<folder>/<set>/<split>/<class>/<file>`; returns their count.

    The first set is trained on: its splits are `train` and `val`; where it has no val images, a tenth of the others
    (by a hash of their photos' ids) is `val`. Of each further set the val images go along, as the split of the set's
    name, `original` as `test`. `a` is the class of the background: the image's own where it was not exchanged, and 0
    in all of `only_fg`, which has none (SubpopBench counts the groups of each split, and takes no number beyond).

    Raises InputError where the sets are of different classes, hold masks or have backgrounds of unknown class, or the
    folder is not empty.
    """
    opened = [ImageSet(source) for source in sources]
    check_same({str(images.folder): images.classes for images in opened})
    for images in opened:
        if any(row.name.endswith(".png") for row in images.rows):
            raise InputError(f"{images.folder} holds masks, and SubpopBench reads images: leave it out")
        if any(row.extra.get("background") and not row.extra.get("background_label") for row in images.rows):
            raise InputError(
                f"{images.folder} has backgrounds of unknown class, which SubpopBench cannot group: leave it out"
            )
    target = claim_folder(folder)
    cells = []
    for number, images in enumerate(opened):
        with images:
            cells += list(_write_images(images, target, first=number == 0))
    write_csv(target / METADATA, COLUMNS, cells)
    return len(cells)


def _write_images(images: ImageSet, target: Path, *, first: bool) -> Iterator[dict[str, Any]]:
    name = images.folder.name
    rows = images.rows if first else images.split("val")
    hold_out = first and not images.split("val")
    for row in progress(rows, f"export {name}"):
        path = target / name / row.split / row.name
        write_member(path, images.read(row))
        own_split = "val" if hold_out and _is_held_out(row) else row.split
        split = own_split if first else _SPLITS_BY_SET.get(name, name)
        # Absolute: SubpopBench joins it to "/".
        yield {"split": split, "filename": path.resolve(), "y": row.label, "a": _background(row, name)}


def _is_held_out(row: Row) -> bool:
    return int(hashlib.sha256(row.id.encode()).hexdigest(), 16) % _HELD_OUT == 0


def _background(row: Row, name: str) -> int:
    if name == _NO_BACKGROUND:
        return 0
    return int(row.extra.get("background_label") or row.label)
