"""Corrupted photos as others publish them: ImageNet-C, or any folder `<corruption>/<severity>/<class>/<image>`.

Source: the layout of the five archives of Hendrycks and Dietterich 2019 (Zenodo 2235448), unpacked beside one another,
with or without the folders `noise`, `blur` ... around the corruptions. Their files were made after resizing the shorter
side to 256 and cutting the central 224, and saved as JPEG of quality 85.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bgdata.class_files import subfolders
from bgdata.classes import ClassList, check_same
from bgdata.corrupt.chunks import Fit, decoded_chunks
from bgdata.corrupt.class_folders import ClassFolders, endings
from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from bgdata.corrupt.data import Chunk
from bgdata.corrupt.sets import SPLIT
from bgdata.errors import InputError
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image
from bgdata.pixels import ImageSource
from bgdata.shards import INDEX, MANIFEST, Row

PUBLISHED = "published"
_RESIZED, _CUT = 256, 224


class PublishedCorruptions:
    """Published corrupted photos (see `CorruptedData`).

    `classes` None: the class folders of the first corruption are the classes. `clean` has the same photos as they were
    (None: nobody has, and P is unknown); where it has not all of them, only those that it has are given, and the others
    counted. `record` counts the class folders and the files that were passed over, these by corruption as it is read.

    Raises InputError where the folder has no such layout, is one of ours, or `clean` has none of the photos.
    """

    source = PUBLISHED

    def __init__(
        self, folder: Path, classes: ClassList | None, clean: ImageSource | None = None, *, workers: int
    ) -> None:
        self.folder = folder
        self._cells = find_cells(folder)
        if not self._cells:
            raise InputError(
                f"{folder} holds no published corruptions: expected <corruption>/<severity>/<class>/<image>, as "
                "gaussian_noise/3/n02085936/ILSVRC2012_val_00000012.JPEG"
            )
        self.corruptions: Sequence[Corruption] = list(self._cells)
        first = ClassFolders(self._cells[self.corruptions[0]], classes)
        self.classes = first.classes
        self._all = first.rows
        self._clean, self._rows = clean, first.rows
        self._workers = workers
        self.record: dict[str, Any] = {"source": PUBLISHED, "seed": None, "encoding": "as published"}
        if clean is not None:
            check_same({str(folder): self.classes, str(clean.folder): clean.classes})
            known = {row.id for row in clean.split(SPLIT)}
            self._rows = [row for row in self._all if row.id in known]
            if not self._rows:
                raise InputError(
                    f"{clean.folder} has none of the photos of {folder} (as {self._all[0].id}): give the photos that "
                    "these were made from, or none"
                )
            self.record["clean"] = str(clean.folder)
            self._note("photos_without_clean", len(self._all) - len(self._rows))
        self._note("other_class_folders", len(first.other_folders))
        self._note_files(self.corruptions[0], first)
        decisive = [first.manifest, self.classes.to_record(), [one.folder for one in self.corruptions]]
        decisive += [] if clean is None else [clean.manifest]
        self.digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
        self._side = _decoded_side(first, self._rows[0])

    def clean(self) -> Iterator[Chunk] | None:
        """The photos as they were, cut as the published ones where they are of another size; None: not at hand."""
        if self._clean is None:
            return None
        cut = CentreCrop(round(self._side * _RESIZED / _CUT), self._side).image
        return self._chunks(self._clean, self._clean.by_id(row.id for row in self._rows), fit=cut)

    def corrupted(self, corruption: Corruption) -> Iterator[Chunk]:
        """The photos under one of `corruptions`.

        Raises InputError where its folder is missing, or holds other photos than the first one's.
        """
        if corruption not in self._cells:
            raise InputError(
                f"{self.folder} has no {corruption.name}/{corruption.severity}"
                f"{'' if corruption.region == 'whole' else f' of the {corruption.region} alone'}: unpack it again, or "
                "leave it out"
            )
        images = ClassFolders(self._cells[corruption], self.classes)
        self._note_files(corruption, images)
        self._check_same_photos(images)
        return self._chunks(images, images.by_id(row.id for row in self._rows))

    def _chunks(self, images: ImageSource, rows: Sequence[Row], fit: Fit | None = None) -> Iterator[Chunk]:
        return decoded_chunks(
            rows,
            lambda part: map(images.read, part),
            side=self._side,
            place=images.place,
            workers=self._workers,
            fit=fit,
        )

    def _check_same_photos(self, images: ClassFolders) -> None:
        first = self._cells[self.corruptions[0]]
        expected, found = ({row.id for row in rows} for rows in (self._all, images.rows))
        for photos, has, lacks in ((expected - found, first, images.folder), (found - expected, images.folder, first)):
            if photos:
                raise InputError(
                    f"{lacks} lacks {len(photos)} photos that {has} has (as {min(photos)}): unpack both again"
                )

    def _note(self, what: str, count: int) -> None:
        if count:
            self.record[what] = count

    def _note_files(self, corruption: Corruption, images: ClassFolders) -> None:
        if images.passed_over:
            self.record.setdefault("passed_over", {})[corruption.folder] = endings(images.passed_over)


def find_cells(folder: Path) -> dict[Corruption, Path]:
    """Where each corruption and severity lies in a folder of published ones, in the published order.

    Raises InputError where a severity is none, a corruption lies in two places, or the folder is one of ours.
    """
    cells: dict[Corruption, Path] = {}
    for place in _corruption_folders(folder):
        for name in subfolders(place):
            if not name.isdecimal():
                continue
            if name not in map(str, SEVERITIES):
                raise InputError(f"{place} has a folder {name}: severities are {', '.join(map(str, SEVERITIES))}")
            if any((place / name / file).exists() for file in (MANIFEST, INDEX)):
                raise InputError(
                    f"{place / name} is a set of ours, not published photos: give the folder that the corrupt stage "
                    "wrote (data/corrupted)"
                )
            corruption = Corruption(place.name, int(name))
            if (other := cells.setdefault(corruption, place / name)) != place / name:
                raise InputError(f"{place.name} lies in {other.parent} and in {place}: remove one of them")
    order = list(CORRUPTIONS)
    return dict(sorted(cells.items(), key=lambda item: (order.index(item[0].name), item[0].severity)))


def _corruption_folders(folder: Path) -> Iterator[Path]:
    """The folders named by a corruption: in `folder`, or in one of the folders in it."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: expected <corruption>/<severity>/<class>/<image> in it")
    if (folder / MANIFEST).is_file():
        raise InputError(f"{folder} has a {MANIFEST}: it is ours, not published photos")
    for name in subfolders(folder):
        if name in CORRUPTIONS:
            yield folder / name
        else:
            yield from (folder / name / inner for inner in subfolders(folder / name) if inner in CORRUPTIONS)


def _decoded_side(images: ClassFolders, row: Row) -> int:
    data = images.read(row)
    try:
        height, width, _ = decode_image(data, as_stored=True).shape
    except InputError as error:
        raise InputError(f"{images.place(row)}: {error}; unpack or download it again") from None
    if height != width:
        raise InputError(
            f"{images.place(row)} is {height}x{width} (height x width), expected a square: crop the photos first"
        )
    return int(height)
