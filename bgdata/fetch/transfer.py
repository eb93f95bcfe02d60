"""The sets of the transfer tasks from their publishers: what of their archives is unpacked, and a listing of it."""

import re
from pathlib import Path

from bgdata.errors import InputError
from bgdata.fetch.segmentation import unpack_archives, write_listing
from bgdata.fetch.sources import SOURCES
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.hidden import is_hidden
from bgdata.segmentation_sets.coco_layout import find_part
from bgdata.transfer_sets.base import SPLITS

# The sources of each layout that somebody publishes, and what of its archives the readers use.
_SOURCES = {
    "coco": ("coco_val2017", "coco_train2017"),
    "voc": ("voc2012",),
    "ade20k": ("ade20k",),
    "cifar10": ("cifar10",),
}
_SPLIT_PHOTO = r"(train|val)[^/]*/[^/]+"
_USED = {
    "coco": rf"(^|/)({_SPLIT_PHOTO}|annotations/instances_(train|val)[^/]*\.json)$",
    "voc": r"(^|/)(JPEGImages/[^/]+|SegmentationClass/[^/]+|ImageSets/Segmentation/[^/]+|categories\.csv)$",
    "ade20k": r"(^|/)((images|annotations)/(training|validation)/[^/]+|objectInfo150\.txt)$",
    "cifar10": r"(^|/)(data_batch_[1-5]|test_batch)(\.bin)?$|(^|/)batches\.meta(\.txt)?$",
    "folder": rf"({'|'.join(map(re.escape, IMAGE_ENDINGS))})$",
}


def is_used(layout: str, path: str) -> bool:
    """Whether the reader of a layout uses the file at `path`, relative to a root or an archive."""
    return re.search(_USED[layout], path, re.IGNORECASE if layout == "folder" else 0) is not None


def download_transfer_set(layout: str, folder: Path, *, mirror: str | None) -> None:
    """Fetch and unpack the archives of a layout into `folder`; an archive goes when it is unpacked. Goes on after a
    kill.

    Raises InputError where an archive cannot be had, is not the one expected, or is damaged.
    """
    remotes = [remote for source in _SOURCES[layout] for remote in SOURCES[source]]
    unpack_archives(remotes, folder, keep=lambda path: is_used(layout, path), mirror=mirror)


def write_transfer_listing(layout: str, root: Path, path: Path) -> int:
    """Write a CSV of the used files below `root` (path, bytes), sorted. Returns how many.

    Raises InputError where the root is no folder, or holds none.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder: name the folder into which the set is unpacked")
    files = _coco_files(root) if layout in ("coco", "scenes") else _used_files(layout, root)
    if not files:
        raise InputError(f"{root} holds no file of the layout {layout}: name the folder into which the set is unpacked")
    return write_listing(files, root, path)


def _coco_files(root: Path) -> set[Path]:
    """COCO's lie as many tools leave them; a split that is not there is missed when it is opened."""
    found: set[Path] = set()
    for split in SPLITS:
        try:
            layout = find_part(root, split)
        except InputError:
            continue
        photos = {file for folder in layout.photos for file in folder.rglob("*") if _is_data(file, root)}
        found |= {layout.annotations} | {file for file in photos if file.suffix.lower() != ".json"}
    return found


def _used_files(layout: str, root: Path) -> set[Path]:
    return {
        file for file in root.rglob("*") if is_used(layout, file.relative_to(root).as_posix()) and _is_data(file, root)
    }


def _is_data(file: Path, root: Path) -> bool:
    return not is_hidden(file.relative_to(root)) and file.is_file()
