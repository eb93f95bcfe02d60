"""Photos as listed, before any is opened, and the listing that stands for their tree where DVC wants a small file."""

import csv
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from bgdata.errors import InputError
from bgdata.shards import write_csv

LISTING = "listing.csv"
# A mixed image is fg_<id>_bg_<id>.JPEG in its class folder, and a name in a USTAR tar is short.
_LONGEST_ID = 40


@dataclass(frozen=True, slots=True)
class Candidate:
    """A photo of the nine classes, as listed: absolute paths, None for what is not there."""

    id: str
    split: str
    wnid: str
    label: int
    stem: str
    photo: str | None
    annotation: str | None
    mask: str | None


@runtime_checkable
class PhotoTree(Protocol):
    """Where candidates lie: an ILSVRC tree, or a flat folder."""

    @property
    def home(self) -> Path:
        """The folder to name in a message."""

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone."""

    def relative(self, path: str | Path) -> str:
        """A file's path within the tree: the same wherever the tree lies."""


def id_of(stem: str, wnid: str) -> str:
    """The id of a photo by its file's stem: every id begins with its wnid."""
    return stem if stem.startswith(f"{wnid}_") else f"{wnid}_{stem}"


def files_by_stem(folder: Path, *endings: str) -> dict[str, str]:
    """Paths by stem of a folder's files with one of these endings in any case; a missing folder has none."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {Path(entry.path).stem: entry.path for entry in entries if entry.name.lower().endswith(endings)}


def sort_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The candidates sorted by split and id.

    Raises InputError where two of them would get one id, or an id is longer than a shard can hold.
    """
    found = sorted(candidates, key=lambda candidate: (candidate.split, candidate.id))
    seen: dict[str, Candidate] = {}
    for candidate in found:
        if len(candidate.id) > _LONGEST_ID:
            raise InputError(
                f"the id {candidate.id} of {candidate.photo or candidate.annotation} has {len(candidate.id)} "
                f"characters, expected at most {_LONGEST_ID} (fg_<id>_bg_<id> must fit a tar); rename its files"
            )
        other = seen.setdefault(candidate.id, candidate)
        if other is not candidate:
            raise InputError(
                f"two photos have the id {candidate.id}: {other.photo} and {candidate.photo}; rename or remove one"
            )
    return found


def write_listing(tree: PhotoTree, candidates: Sequence[Candidate], path: Path) -> int:
    """Write `listing.csv`: each file of the nine classes, as path and size in bytes; returns how many.

    It stands for the tree where DVC wants something small to hash.
    """
    rows = [{"path": tree.relative(file), "bytes": Path(file).stat().st_size} for file in _files_of(tree, candidates)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, ("path", "bytes"), rows)
    return len(rows)


def check_listing(tree: PhotoTree, candidates: Sequence[Candidate], path: Path) -> None:
    """Hold the tree against the listing that `fetch` wrote (paths alone: sizes would need every file's status).

    Raises InputError where they differ.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: run the fetch stage first")
    with path.open(newline="") as file:
        listed = {row["path"] for row in csv.DictReader(file)}
    differing = sorted(listed.symmetric_difference(map(tree.relative, _files_of(tree, candidates))))
    if differing:
        raise InputError(
            f"{tree.home} is not the tree that {path} lists: {len(differing)} files are in one of them alone, as "
            f"{differing[0]}; run `dvc repro --force fetch`, or set runtime.imagenet back"
        )


def _files_of(tree: PhotoTree, candidates: Sequence[Candidate]) -> list[str]:
    files = (path for found in candidates for path in (found.photo, found.annotation, found.mask) if path)
    return sorted([*files, *map(str, tree.other_files)])
