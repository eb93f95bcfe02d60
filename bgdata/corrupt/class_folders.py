"""Photos in class folders (`<class>/<image>`, as torchvision's ImageFolder takes them), as a set of a list of classes.

A class's folder is named by one of its WordNet ids, by its name, or as the official release names it (`00_dog`).
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from bgdata.class_files import folder_class_list, subfolders
from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.foreign_images import IMAGE_ENDINGS, plain_image
from bgdata.hidden import is_hidden
from bgdata.prompts import imagenet_wnids
from bgdata.shards import Row, rows_by_id

SPLIT = "val"
# ImageNet's own names, and ours: both say which photo of ImageNet it is, in any folder and with any ending.
_IMAGENET_VAL = re.compile(r"ILSVRC2012_val_(?P<number>\d{8})")
_WNID = re.compile(r"n\d{8}")
_OURS = re.compile(r"(?P<wnid>n\d{8})_\d+")


class ClassFolders:
    """The photos of a tree of class folders, sorted by class and id, all of the split `val`.

    `classes` None: the tree's own folders are the classes. Folders of ImageNet's other wnids are passed over
    (`other_folders`), as are files that are no images by their ending (`passed_over`).

    Raises InputError where there is no such tree, a folder is no class, a class has no photo, or two photos share an
    id.
    """

    def __init__(self, folder: Path, classes: ClassList | None) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: expected <class>/<image> in it")
        found = subfolders(folder)
        self.folder = folder
        self.classes = folder_class_list(found, where=folder) if classes is None else classes
        labels = {name: _label(folder, name, self.classes) for name in found}
        self.other_folders = [name for name, label in labels.items() if label is None]
        rows: list[Row] = []
        passed_over: list[str] = []
        for name, label in labels.items():
            for file, size in _files(folder / name) if label is not None else ():
                if not file.lower().endswith(IMAGE_ENDINGS):
                    passed_over.append(f"{SPLIT}/{name}/{file}")
                elif label is not None:
                    rows.append(_row(name, file, label, size))
        self.rows = sorted(rows, key=lambda row: (row.label, row.id))
        self.passed_over: Sequence[str] = passed_over
        self._check_whole()
        self.manifest: dict[str, Any] = {"shards": {row.name: row.size for row in self.rows}}

    def split(self, split: str) -> list[Row]:
        """The rows of one split: all are `val`."""
        return self.rows if split == SPLIT else []

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order.

        Raises InputError where the tree lacks one.
        """
        return rows_by_id(self, ids, advice="the folder is not whole, unpack it again")

    def place(self, row: Row) -> str:
        """Where an image lies, for people."""
        return str(self.folder / row.name)

    def read(self, row: Row) -> bytes:
        """The bytes of one image, JPEG or PNG.

        Raises InputError where the file cannot be read, is cut short, or is no image.
        """
        try:
            return plain_image((self.folder / row.name).read_bytes())
        except InputError as error:
            raise InputError(f"{self.place(row)}: {error}; unpack or download it again") from None
        except OSError as error:
            raise InputError(f"{self.place(row)} cannot be read ({error.strerror}): unpack it again") from None

    def close(self) -> None:
        """Nothing is open between reads."""

    def _check_whole(self) -> None:
        empty = sorted(set(range(len(self.classes))) - {row.label for row in self.rows})
        if empty:
            names = ", ".join(self.classes.names[label] for label in empty[:5])
            more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
            raise InputError(
                f"{self.folder} has no photo of {names}{more} (classes {self.classes.describe()}): unpack it again, or "
                "give the classes that it has"
            )
        seen: dict[str, str] = {}
        for row in self.rows:
            if (other := seen.setdefault(row.id, row.name)) != row.name:
                raise InputError(f"{self.folder}: {other} and {row.name} are both the photo {row.id}: remove one")


def endings(passed_over: Sequence[str]) -> dict[str, int]:
    """How many files were passed over, by ending (by name where there is none)."""
    names = [PurePosixPath(file).suffix or PurePosixPath(file).name for file in passed_over]
    return {name: names.count(name) for name in sorted(set(names))}


def _label(folder: Path, name: str, classes: ClassList) -> int | None:
    """The label of a class folder; None for a wnid of ImageNet that is in none of the classes."""
    if name in classes.label_by_wnid:
        return classes.label_by_wnid[name]
    for names in (classes.names, classes.folders):
        if name in names:
            return names.index(name)
    if name in imagenet_wnids():
        return None
    raise InputError(
        f"{folder} has a folder {name!r}, which is no class of {classes.describe()} and no wnid of ImageNet: rename or "
        "remove it, or give its classes"
    )


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """The files below a folder and their bytes, as ImageFolder walks: through links; hidden ones are nobody's.

    Plain texts and no paths, which take three times as long: there may be 50,000, seventy-five times.
    """
    home = f"{folder}/"
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        folders.sort()
        for name in sorted(names):
            path = f"{place}/{name}"
            if not is_hidden(path.removeprefix(home)):
                yield path.removeprefix(home).replace(os.sep, "/"), _size(path)


def _refuse(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename} cannot be read ({error.strerror}): change its permissions") from None


def _size(path: str) -> int:
    """Its bytes; 0 of a link to nothing, whose reading will say so."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _row(folder: str, file: str, label: int, size: int) -> Row:
    """The row of a photo, by the same id in every tree that holds it."""
    name = f"{folder}/{file}"
    whole = name.rpartition(".")[0]
    stem = whole.rpartition("/")[2]
    if (match := _IMAGENET_VAL.fullmatch(stem)) and _WNID.fullmatch(folder):
        return Row(f"{folder}_{match['number']}", SPLIT, label, folder, name, size=size)
    if match := _OURS.fullmatch(stem):
        return Row(stem, SPLIT, label, match["wnid"], name, size=size)
    return Row(whole, SPLIT, label, "", name, size=size)
