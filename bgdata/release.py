"""The official ImageNet-9 release as sets: `<variant>/val/<class>/*.JPEG` and `fg_mask/val/<class>/*.npy`.

Source: the layout of the test release of Xiao et al. 2021 (`backgrounds_challenge_data.tar.gz`), with or without the
folder around it. In a class's folder images lie as torchvision's ImageFolder finds them: with any of its endings, at
any depth.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from bgdata.errors import InputError
from bgdata.fetch.archives import iterate_members
from bgdata.foreign_images import IMAGE_ENDINGS, MASK_ENDING, mask_as_png, plain_image
from bgdata.hidden import is_hidden
from bgdata.labels import IN9
from bgdata.shards import SPLITS, Row, rows_by_id

_LAYOUT = "<variant>/val/00_dog/*.JPEG and fg_mask/val/00_dog/*.npy"
# Mixed images of the official release are named for both of their photos.
_MIXED = re.compile(r"fg_(?P<foreground>.+?)_bg_(?P<background>.+)")


class ReleaseSet:
    """One variant of the release, or its masks (handed out as PNG, whatever they are at rest).

    `files` are those below the variant's folder (`val/00_dog/n02085936_12.JPEG`), with their sizes in bytes; `reader`
    gives the bytes of one.

    Raises InputError where there is no image, or one of a class that is none of ImageNet-9's.
    """

    def __init__(self, folder: Path, files: dict[str, int], reader: Callable[[str], bytes]) -> None:
        self.folder = folder
        self.classes = IN9
        self.rows = [_row(folder, PurePosixPath(name), files[name]) for name in sorted(files) if _is_image(name)]
        self.passed_over: Sequence[str] = [name for name in sorted(files) if not _is_image(name)]
        self.manifest: dict[str, Any] = {"shards": {row.name: row.size for row in self.rows}}
        self._reader = reader
        if not self.rows:
            raise InputError(f"{folder} holds no image: expected {_LAYOUT}; unpack the release again")

    def split(self, split: str) -> list[Row]:
        """The rows of one split, sorted by class and name."""
        return [row for row in self.rows if row.split == split]

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order.

        Raises InputError where the set lacks one.
        """
        return rows_by_id(self, ids, advice="the release is not whole, unpack it again")

    def place(self, row: Row) -> str:
        """Where an image lies, for people."""
        return f"{self.folder}/{row.split}/{row.name}"

    def read(self, row: Row) -> bytes:
        """The bytes of one image: JPEG or PNG, whatever it is at rest.

        Raises InputError where the file cannot be read, is cut short, or is no image.
        """
        try:
            data = self._reader(f"{row.split}/{row.name}")
            return mask_as_png(data) if _ending(row.name) == MASK_ENDING else plain_image(data)
        except InputError as error:
            raise InputError(f"{self.place(row)}: {error}; unpack or download it again") from None
        except OSError as error:
            raise InputError(f"{self.place(row)} cannot be read ({error.strerror})") from None

    def close(self) -> None:
        """Nothing is open between reads."""

    def __enter__(self) -> "ReleaseSet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_tree(data: Path, names: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, ReleaseSet]:
    """The sets `names` of an unpacked release, and those of `optional` that are there: in `data`, or in the only folder
    in it that holds any of `names`.

    Raises InputError where there is none, a set is missing or empty, or a folder cannot be read.
    """
    root = _find_root(data, names)
    check_complete(root, names, [name for name in names if (root / name).is_dir()])
    there = [name for name in optional if _holds_images(root / name)]
    return {name: _tree_set(root / name) for name in (*names, *there)}


def read_archive(path: Path, names: Sequence[str], *, optional: Sequence[str] = ()) -> dict[str, ReleaseSet]:
    """The sets `names` of a packed release, and those of `optional` that are there, in memory: one pass over it.

    Raises InputError where it is no archive, cut short or broken, or lacks one of the sets.
    """
    contents: dict[tuple[str, ...], dict[str, dict[str, bytes]]] = {}
    asked = (*names, *optional)
    for member, data in iterate_members(path, keep=lambda name: _place(name, asked) is not None):
        root, name, file = _place(member, asked) or ((), "", "")
        contents.setdefault(root, {}).setdefault(name, {})[file] = data
    contents = {root: sets for root, sets in contents.items() if not sets.keys().isdisjoint(names)}
    if len(contents) > 1:
        roots = ", ".join("/".join(root) or "its top" for root in sorted(contents)[:5])
        raise InputError(f"{path} holds {len(contents)} releases ({roots}): unpack it, and give the folder of one")
    found = next(iter(contents.values()), {})
    if not found:
        raise InputError(f"{path} is no ImageNet-9 release: expected {_LAYOUT} of {', '.join(names)}, found none")
    check_complete(path, names, found)
    there = [name for name in optional if any(map(_is_image, found.get(name, ())))]
    return {name: _archive_set(path / name, found[name]) for name in (*names, *there)}


def check_complete(place: Path, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise InputError where some of the sets that are `wanted` were not found, naming all of them."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(
            f"{place} has no {', '.join(missing)} (it has {', '.join(found)}): give the whole data, or judge on a part "
            "of the variants (--variants, where the command has it)"
        )


def _find_root(data: Path, names: Sequence[str]) -> Path:
    inside = sorted(path for path in data.iterdir() if path.is_dir() and not is_hidden(path.name))
    for root in (data, *inside):
        if any((root / name).is_dir() for name in names):
            return root
    found = ", ".join(path.name for path in inside[:5]) or "nothing"
    raise InputError(f"{data} is no ImageNet-9 release: expected {_LAYOUT} of {', '.join(names)}, found {found}")


def _holds_images(folder: Path) -> bool:
    files = (path for split in SPLITS for path in _files(folder / split))
    return any(_is_image(path.relative_to(folder).as_posix()) for path in files)


def _tree_set(folder: Path) -> ReleaseSet:
    files = {path.relative_to(folder).as_posix(): path for split in SPLITS for path in _files(folder / split)}
    sizes = {name: _size(path) for name, path in files.items() if not is_hidden(name)}
    return ReleaseSet(folder, sizes, lambda name: files[name].read_bytes())


def _size(path: Path) -> int:
    """Its bytes; 0 of a link to nothing, whose reading will say so."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, as ImageFolder walks: through links."""
    for place, _, names in os.walk(folder, followlinks=True, onerror=_refuse) if folder.is_dir() else ():
        yield from (Path(place, name) for name in names)


def _refuse(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename} cannot be read ({error.strerror}): change its permissions") from None


def _place(member: str, names: Sequence[str]) -> tuple[tuple[str, ...], str, str] | None:
    """Of a member of an archive: the folders around the release, the set, and the file in it (`val/...`).

    None for what is hidden, or belongs to none of the sets.
    """
    parts = PurePosixPath(member).parts
    for depth, (name, split) in enumerate(pairwise(parts[:-1])):
        if name in names and split in SPLITS:
            return None if is_hidden(member) else (parts[:depth], name, "/".join(parts[depth + 1 :]))
    return None


def _archive_set(folder: Path, files: dict[str, bytes]) -> ReleaseSet:
    return ReleaseSet(folder, {name: len(data) for name, data in files.items()}, files.__getitem__)


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_image(name: str) -> bool:
    """Whether a file (`val/00_dog/...`) is an image or a mask in a class's folder."""
    return name.count("/") >= 2 and _ending(name) in (*IMAGE_ENDINGS, MASK_ENDING)


def _row(folder: Path, path: PurePosixPath, size: int) -> Row:
    split, class_folder, *_ = path.parts
    if class_folder not in IN9.folders:
        raise InputError(
            f"{folder}/{split} has a class {class_folder!r}, expected {IN9.folders[0]} to {IN9.folders[-1]}: "
            "give the official release, or rename the folder"
        )
    mixed = _MIXED.fullmatch(path.stem)
    photo = mixed["foreground"] if mixed else path.stem
    return Row(
        id=photo,
        split=split,
        label=IN9.folders.index(class_folder),
        wnid=photo.split("_")[0],
        name=path.relative_to(split).as_posix(),
        size=size,
        extra=_behind(mixed["background"]) if mixed else {},
    )


def _behind(photo: str) -> dict[str, str]:
    """The photo of a background, and its class as our own sets name it."""
    return {"background": photo, "background_label": str(IN9.label_by_wnid.get(photo.split("_")[0], ""))}
