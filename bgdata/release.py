"""The official ImageNet-9 release as sets: `<variant>/val/<class>/*.JPEG` and `fg_mask/val/<class>/*.npy`.

Source: the layout of the test release of Xiao et al. 2021 (`backgrounds_challenge_data.tar.gz`), with or without the
folder around it.
"""

import io
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bgdata.errors import InputError
from bgdata.io import encode_mask
from bgdata.labels import CLASS_FOLDERS, in9_label_by_wnid
from bgdata.shards import SPLITS, Row

_LAYOUT = "<variant>/val/00_dog/*.JPEG and fg_mask/val/00_dog/*.npy"
_PHOTOS = (".JPEG", ".jpeg", ".jpg", ".JPG", ".png")
# Mixed images of the official release are named for both of their photos.
_MIXED = re.compile(r"fg_(?P<foreground>.+?)_bg_(?P<background>.+)")


class ReleaseSet:
    """One variant of the release, or its masks (handed out as PNG, whatever they are at rest)."""

    def __init__(self, folder: Path, rows: list[Row], reader: Callable[[Row], bytes]) -> None:
        self.folder = folder
        self.rows = rows
        self.manifest: dict[str, Any] = {"shards": {row.name: row.size for row in rows}}
        self._reader = reader

    def split(self, split: str) -> list[Row]:
        """The rows of one split, sorted by class and name."""
        return [row for row in self.rows if row.split == split]

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order.

        Raises InputError where the set lacks one.
        """
        found = {row.id: row for row in self.rows}
        try:
            return [found[image_id] for image_id in ids]
        except KeyError as error:
            raise InputError(
                f"{self.folder} has no image {error.args[0]}: the release is not whole, unpack it again"
            ) from None

    def read(self, row: Row) -> bytes:
        """The bytes of one image: JPEG, or a mask as PNG.

        Raises InputError where a mask's file is none.
        """
        data = self._reader(row)
        return _mask_as_png(data, f"{self.folder}/{row.name}") if row.name.endswith(".npy") else data

    def close(self) -> None:
        """Nothing is open between reads."""

    def __enter__(self) -> "ReleaseSet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def find_release(data: Path, names: Sequence[str]) -> Path:
    """The folder that holds the variants: `data`, or the only one in it that does.

    Raises InputError where there is none.
    """
    inside = sorted(path for path in data.iterdir() if path.is_dir())
    for root in (data, *inside):
        if any((root / name).is_dir() for name in names):
            return root
    found = ", ".join(path.name for path in inside[:5]) or "nothing"
    raise InputError(f"{data} is no ImageNet-9 release: expected {_LAYOUT} of {', '.join(names)}, found {found}")


def read_tree(root: Path, name: str) -> ReleaseSet:
    """One set of an unpacked release.

    Raises InputError where it is missing, empty, or has a class that is none of the nine.
    """
    folder = root / name
    files = sorted(path for split in SPLITS for path in (folder / split).glob("*/*"))
    rows = _rows(folder, {path.relative_to(folder).as_posix(): path.stat().st_size for path in files})
    return ReleaseSet(folder, rows, lambda row: (folder / row.split / row.name).read_bytes())


def is_archive(path: Path) -> bool:
    """Whether a path names an archive of the release."""
    return path.is_file() and path.name.endswith((".tar", ".tar.gz", ".tgz"))


def read_archive(path: Path, names: Sequence[str]) -> dict[str, ReleaseSet]:
    """The sets `names` of a packed release, in memory: one pass over the archive.

    Raises InputError where it is cut short or broken, or lacks one of the sets.
    """
    contents: dict[str, dict[str, bytes]] = {name: {} for name in names}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts[-4:]
                if member.isfile() and len(parts) == 4 and parts[0] in contents and parts[1] in SPLITS:
                    file = archive.extractfile(member)
                    contents[parts[0]]["/".join(parts[1:])] = file.read() if file else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise InputError(f"{path} is cut short or no archive ({error}): download it again") from None
    return {name: _archive_set(path / name, files) for name, files in contents.items()}


def _archive_set(folder: Path, files: dict[str, bytes]) -> ReleaseSet:
    rows = _rows(folder, {name: len(files[name]) for name in sorted(files)})
    return ReleaseSet(folder, rows, lambda row: files[f"{row.split}/{row.name}"])


def _rows(folder: Path, sizes: dict[str, int]) -> list[Row]:
    """Rows of `<split>/<class>/<file>`, sorted; `sizes` in bytes."""
    rows = [_row(folder, PurePosixPath(name), size) for name, size in sizes.items() if _is_image(name)]
    if not rows:
        raise InputError(f"{folder} holds no image: expected {_LAYOUT}; unpack the release again")
    return rows


def _is_image(name: str) -> bool:
    return not PurePosixPath(name).name.startswith(".") and name.endswith((*_PHOTOS, ".npy"))


def _row(folder: Path, path: PurePosixPath, size: int) -> Row:
    split, class_folder, _ = path.parts
    if class_folder not in CLASS_FOLDERS:
        raise InputError(
            f"{folder}/{split} has a class {class_folder!r}, expected {CLASS_FOLDERS[0]} to {CLASS_FOLDERS[-1]}: "
            "give the official release, or rename the folder"
        )
    mixed = _MIXED.fullmatch(path.stem)
    photo = mixed["foreground"] if mixed else path.stem
    return Row(
        id=photo,
        split=split,
        label=CLASS_FOLDERS.index(class_folder),
        wnid=photo.split("_")[0],
        name=f"{class_folder}/{path.name}",
        size=size,
        extra=_behind(mixed["background"]) if mixed else {},
    )


def _behind(photo: str) -> dict[str, str]:
    """The photo of a background, and its class as our own sets name it."""
    return {"background": photo, "background_label": str(in9_label_by_wnid().get(photo.split("_")[0], ""))}


def _mask_as_png(data: bytes, name: str) -> bytes:
    try:
        mask = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{name} is no mask ({error}): unpack the release again") from None
    if mask.ndim != 2:
        raise InputError(f"{name} is an array of shape {mask.shape}, expected a mask (height, width)")
    return encode_mask(mask.astype(bool))
