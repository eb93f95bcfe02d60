"""COCO, VOC and DAVIS from their publishers: what of their archives is unpacked, and a listing of it."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bgdata.errors import InputError
from bgdata.fetch.archives import extract
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.hidden import is_hidden
from bgdata.segmentation_sets.coco_layout import find_layout
from bgdata.shards import write_csv, write_text_whole

# The source of each set, and what of a root the readers use (bgdata.segmentation_sets).
_SOURCE = {"coco": "coco_val2017", "voc": "voc2012", "davis": "davis2016"}
_USED = {
    "coco": r"(^|/)(val[^/]*/[^/]+|annotations/instances_val[^/]*\.json)$",
    "voc": r"(^|/)(JPEGImages/[^/]+|SegmentationClass/[^/]+|ImageSets/Segmentation/[^/]+|categories\.csv)$",
    "davis": r"(^|/)((JPEGImages|Annotations)/480p/[^/]+/[^/]+|ImageSets/480p/[^/]+|categories\.csv)$",
}


def is_used(name: str, path: str) -> bool:
    """Whether the reader of a set uses the file at `path`, relative to a root or an archive."""
    return re.search(_USED[name], path) is not None


def download_set(name: str, folder: Path, *, mirror: str | None) -> None:
    """Fetch and unpack a set's archives into `folder`; an archive goes when it is unpacked. Goes on after a kill.

    Raises InputError where an archive cannot be had, is not the one expected, or is damaged.
    """
    unpack_archives(SOURCES[_SOURCE[name]], folder, keep=lambda path: is_used(name, path), mirror=mirror)


def unpack_archives(
    remotes: Sequence[RemoteFile], folder: Path, *, keep: Callable[[str], bool], mirror: str | None
) -> None:
    """Fetch archives and unpack what `keep` takes of them into `folder`; see `download_set`."""
    for remote in remotes:
        done = folder / f".{remote.name}.unpacked"
        if done.is_file():
            continue
        archive = fetch_file(remote, folder, mirror=mirror)
        extract(archive, folder, keep=keep)
        write_text_whole(done, "")
        archive.unlink()


def write_set_listing(name: str, root: Path | None, path: Path) -> int:
    """Write a CSV of the used files below `root` (path, bytes), sorted; none for no root. Returns how many.

    Raises InputError where the root is no folder.
    """
    if root is not None and not root.is_dir():
        raise InputError(f"{root} is no folder: set runtime.{name} to where {name} is unpacked")
    return write_listing(_used_files(name, root), root, path) if root else write_listing((), path, path)


def write_listing(files: Iterable[Path], root: Path, path: Path) -> int:
    """Write a CSV of files below `root` (path, bytes), sorted; returns how many."""
    rows = [{"path": file.relative_to(root).as_posix(), "bytes": file.stat().st_size} for file in sorted(files)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, ("path", "bytes"), rows)
    return len(rows)


def _used_files(name: str, root: Path) -> set[Path]:
    """The files below a root that the set's reader looks at; COCO's lie as many tools leave them."""
    if name == "coco":
        layout = find_layout(root)
        photos = {file for folder in layout.photos for file in folder.rglob("*") if _is_data(file, root)}
        return {layout.annotations} | {file for file in photos if file.suffix.lower() != ".json"}
    return {
        file for file in root.rglob("*") if is_used(name, file.relative_to(root).as_posix()) and _is_data(file, root)
    }


def _is_data(file: Path, root: Path) -> bool:
    return not is_hidden(file.relative_to(root)) and file.is_file()
