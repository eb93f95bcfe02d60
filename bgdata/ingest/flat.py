"""Reads a folder of labelled photos without boxes: each file's name, or its folder's, begins with its wnid.

<wnid>_<name>.JPEG            masks/<wnid>_<name>.png (optional)
<wnid>/<name>.JPEG            masks/<wnid>/<name>.png (optional)
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.ingest.candidates import (
    MASK_ENDINGS,
    Candidate,
    files_in,
    id_of,
    sort_candidates,
)
from bgdata.labels import IN9

_MASKS = "masks"
_WNID = re.compile(r"n\d{8}(?=_|$)")


@dataclass(frozen=True)
class FlatFolder:
    """Where the photos of a flat folder lie: `home` is that folder."""

    home: Path
    classes: ClassList = IN9

    @property
    def top(self) -> Path:
        """The folder from which paths are written down: itself."""
        return self.home

    @property
    def other_files(self) -> tuple[Path, ...]:
        """The files that belong to no photo alone: none."""
        return ()


def list_flat(folder: FlatFolder, *, gone: Sequence[Path] = ()) -> tuple[list[Candidate], int]:
    """The photos of the classes in a flat folder, all in `val`, sorted by id, and how many other photos it holds.

    Opens none of them; photos that are `gone` are listed without a file.

    Raises InputError where it holds no photo of them, two of them would get one id, or an id is longer than a shard
    can hold.
    """
    if not folder.home.is_dir():
        raise InputError(f"expected a folder of photos named <wnid>_<name>.JPEG, found no folder {folder.home}")
    wnids = sorted(path.name for path in folder.home.iterdir() if path.is_dir() and _WNID.fullmatch(path.name))
    listed = [one for below in ("", *wnids) for one in _photos(folder, below, gone)]
    candidates = [candidate for candidate in listed if candidate is not None]
    others = len(listed) - len(candidates)
    if not candidates:
        raise InputError(
            f"expected photos of the {len(folder.classes.label_by_wnid)} synsets of {folder.classes.describe()} in "
            f"{folder.home}, as n02085620_chihuahua.JPEG or "
            f"n02085620/chihuahua.jpg, found none ({others} other photos): name the files by their wnids"
        )
    return sort_candidates(candidates), others


def _photos(folder: FlatFolder, below: str, gone: Sequence[Path]) -> Iterator[Candidate | None]:
    """The photos in the folder itself, or in a wnid's folder `below` it; None for each outside the classes."""
    masks = {Path(path).stem: path for path in files_in(folder.home / _MASKS / below, MASK_ENDINGS)}
    labels = folder.classes.label_by_wnid
    place = folder.home / below
    lost = [str(path) for path in gone if path.parent == place and path.suffix.lower() in IMAGE_ENDINGS]
    for photo in [*files_in(place, IMAGE_ENDINGS), *lost]:
        stem = Path(photo).stem
        named = _WNID.match(below or stem)
        if named is None or named.group() not in labels:
            yield None
        else:
            wnid = named.group()
            there = None if photo in lost else photo
            yield Candidate(id_of(stem, wnid), "val", wnid, labels[wnid], stem, there, None, masks.get(stem))
