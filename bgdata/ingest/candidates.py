"""Photos as listed, before any is opened, and the listing that stands for their tree where DVC wants a small file."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.hidden import is_hidden
from bgdata.shards import write_csv
from bgdata.text import read_table

LISTING = "listing.csv"
MASK_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
# A tree that lacks more of what was listed is another one, and not the same with a few files lost.
_GONE_AT_MOST = 0.1
# A mixed image is fg_<id>_bg_<id>.JPEG in its class folder, and a name in a USTAR tar is short.
_LONGEST_ID = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo of one of the classes, as listed: absolute paths and boxes, None for what is not there."""

    id: str
    split: str
    wnid: str
    label: int
    stem: str
    photo: str | None
    annotation: str | None
    mask: str | None
    boxes: tuple[Box, ...] | None = None  # of a table, where no annotation file holds them


@runtime_checkable
class PhotoTree(Protocol):
    """Where candidates lie: an ILSVRC tree, folders of classes, or a flat folder."""

    @property
    def classes(self) -> ClassList:
        """The list that its photos' labels are of."""

    @property
    def home(self) -> Path:
        """The folder to name in a message."""

    @property
    def top(self) -> Path:
        """The folder from which paths are written down: they are the same wherever the tree lies."""

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone."""


def path_within(tree: PhotoTree, path: str | Path) -> str:
    """A file's path within its tree."""
    return os.path.relpath(path, tree.top)


def id_of(stem: str, wnid: str) -> str:
    """The id of a photo by its file's stem: every id begins with its wnid."""
    return stem if stem.startswith(f"{wnid}_") else f"{wnid}_{stem}"


def files_in(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """The paths of a folder's files with one of these endings in any case, sorted, without hidden and system files.

    A missing folder has none. What has such a name counts, be it a link to nothing or a folder: reading it will tell.
    Raises InputError where the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.lower().endswith(endings)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(
            f"the folder {folder} cannot be read ({error.strerror}): change its permissions, or remove it"
        ) from None
    return [str(folder / name) for name in sorted(names) if not is_hidden(name)]


def sort_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates sorted by split and id.

    Raises InputError where two of them would get one id, an id is longer than a shard can hold, or a name is not UTF-8.
    """
    found = sorted(candidates, key=lambda candidate: (candidate.split, candidate.id))
    seen: dict[str, Candidate] = {}
    for candidate in found:
        _check_names(candidate)
        other = seen.setdefault(candidate.id, candidate)
        if other is not candidate:
            raise InputError(
                f"two photos have the id {candidate.id}: {other.photo} and {candidate.photo}; rename or remove one"
            )
    return found


def _check_names(candidate: Candidate) -> None:
    for path in _paths(candidate):
        try:
            path.encode()
        except UnicodeEncodeError:
            raise InputError(f"the name of {os.fsencode(path)!r} is not UTF-8: rename the file") from None
    length = len(candidate.id.encode())
    if length > _LONGEST_ID:
        raise InputError(
            f"the id {candidate.id} of {candidate.photo or candidate.annotation} has {length} characters, expected at "
            f"most {_LONGEST_ID} (fg_<id>_bg_<id> must fit a tar); rename its files"
        )


def write_listing(tree: PhotoTree, candidates: Sequence[Candidate], path: Path) -> int:
    """Write `listing.csv`: each file of the classes, as path and size in bytes; returns how many.

    It stands for the tree where DVC wants something small to hash. A link to nothing has no size.
    """
    rows = [{"path": path_within(tree, file), "bytes": _bytes(file)} for file in _files_of(tree, candidates)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, ("path", "bytes"), rows)
    return len(rows)


def find_gone(tree: PhotoTree, candidates: Sequence[Candidate], path: Path) -> list[Path]:
    """The files that `fetch` listed and that are not in the tree any more (paths alone: sizes would need every file's
    status).

    Raises InputError where the tree is another one: it has files that are not listed, or lacks more than a few.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run the fetch stage first")
    listed = {row["path"] for row in read_table(path, ("path", "bytes"))}
    found = {path_within(tree, file) for file in _files_of(tree, candidates)}
    gone, unlisted = sorted(listed - found), sorted(found - listed)
    if unlisted or len(gone) > _GONE_AT_MOST * len(listed):
        raise InputError(
            f"{tree.home} is not the tree that {path} lists: {len(gone) + len(unlisted)} files are in one of them "
            f"alone, as {(gone or unlisted)[0]}; run `dvc repro --force fetch`, or set runtime.imagenet back"
        )
    return [tree.top / name for name in gone]


def _files_of(tree: PhotoTree, candidates: Sequence[Candidate]) -> list[str]:
    files = (path for candidate in candidates for path in _paths(candidate))
    return sorted([*files, *map(str, tree.other_files)])


def _paths(candidate: Candidate) -> Iterator[str]:
    return filter(None, (candidate.photo, candidate.annotation, candidate.mask))


def _bytes(path: str) -> int | str:
    try:
        return Path(path).stat().st_size
    except OSError:
        return ""
