"""Data sets as tar shards with an index: written deterministically, resumed by the shard, read at random.

A set is a folder of uncompressed tars (`train-00000.tar`, `val-00000.tar`, ...), `index.csv` with one row an image, and
`manifest.json`, written last. A tar's members are named as in the official ImageNet-9 release
(`00_dog/<stem>.JPEG`), so `tar -x`, WebDataset and Hugging Face read it as it is, and offset and size give random
access.
"""

import csv
import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any, Protocol, TextIO, runtime_checkable
from uuid import uuid4

from bgdata.classes import ClassList, read_class_list
from bgdata.errors import InputError
from bgdata.text import iter_table

SPLITS = ("train", "val")
INDEX = "index.csv"
MANIFEST = "manifest.json"
REJECTED = "rejected.csv"
PARTS = "parts"
_COLUMNS = ("id", "split", "label", "wnid", "name", "shard", "offset", "size")
_OWN = frozenset(_COLUMNS)
_SHORT = 4  # a cell that many rows share: a coordinate, a label
_BUFFER = 1 << 18  # bytes that a shard being written keeps in memory


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a set: which, what, where, and (in `extra`, further columns) where it came from."""

    id: str
    split: str
    label: int
    wnid: str
    name: str
    shard: str = ""
    offset: int = 0
    size: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The file name without folder and ending."""
        return Path(self.name).stem

    def name_beside(self, stem: str, ending: str = "JPEG") -> str:
        """The name of another image of its class: `00_dog/<stem>.JPEG`."""
        return f"{self.name.partition('/')[0]}/{stem}.{ending}"

    def to_cells(self) -> dict[str, Any]:
        """The row as the index's cells."""
        return {column: getattr(self, column) for column in _COLUMNS} | dict(self.extra)

    @classmethod
    def from_cells(cls, cells: Mapping[str, str]) -> "Row":
        """The row of an index's cells."""
        # A million rows: what is equal in many is held once.
        return cls(
            id=cells["id"],
            split=intern(cells["split"]),
            label=int(cells["label"]),
            wnid=intern(cells["wnid"]),
            name=cells["name"],
            shard=intern(cells["shard"]),
            offset=int(cells["offset"]),
            size=int(cells["size"]),
            extra={
                column: intern(cell) if len(cell) <= _SHORT else cell
                for column, cell in cells.items()
                if column not in _OWN
            },
        )


def shard_name(split: str, number: int) -> str:
    """The file name of a split's n-th shard."""
    return f"{split}-{number:05d}.tar"


class ShardWriter:
    """Writes one shard and its part of the index; a kill leaves either both or nothing that counts.

    The bytes depend on what is added alone (fixed owner, mode and time). A context manager: leaving it well finishes.
    """

    def __init__(self, folder: Path, shard: str) -> None:
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._shard = shard
        self._partial = partial_path(folder / shard)
        self._file = self._partial.open("wb", buffering=_BUFFER)
        self._length = 0
        self._digest = hashlib.sha256()
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Row, data: bytes) -> None:
        """Append one image; the row's place in the shard is filled in here."""
        place = {"shard": self._shard, "offset": self._length + tarfile.BLOCKSIZE, "size": len(data)}
        # Not TarFile.addfile: it costs as much as two JPEG encodes. A header, the data, zeros up to the next block.
        self._write(_tar_header(row.name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE))
        self._rows.append(row.to_cells() | place)

    def _write(self, blocks: bytes) -> None:
        self._file.write(blocks)
        self._digest.update(blocks)
        self._length += len(blocks)

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        try:
            with self._file:
                self._write(bytes(2 * tarfile.BLOCKSIZE))
            if failure is None:
                self._partial.replace(self._folder / self._shard)
        finally:
            self._partial.unlink(missing_ok=True)
        if failure is not None:
            return
        part = {"sha256": self._digest.hexdigest(), "rows": self._rows}
        write_text_whole(_part_path(self._folder, self._shard), json.dumps(part))


def _tar_header(name: str, size: int) -> bytes:
    """A member's header, with a fixed owner, mode and time: what tarfile writes, in a tenth of its time."""
    if not name.isascii() or len(name) > tarfile.LENGTH_NAME:
        return _tarfile_header(name, size)
    path, length = name.encode(), b"%011o" % size
    header = bytearray(_EMPTY_HEADER)
    header[: len(path)] = path
    header[124:135] = length
    unsigned = int(header[148:154], 8) + sum(path) + sum(length) - sum(b"0" * 11)
    header[148:154] = b"%06o" % unsigned  # the sum of the header's bytes
    return bytes(header)


def _tarfile_header(name: str, size: int) -> bytes:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    return header.tobuf(tarfile.USTAR_FORMAT)


_EMPTY_HEADER = _tarfile_header("", 0)


def write_shard(folder: Path, shard: str, members: Iterable[tuple[Row, bytes]]) -> None:
    """Write one shard whole (see `ShardWriter`)."""
    with ShardWriter(folder, shard) as writer:
        for row, data in members:
            writer.add(row, data)


def shard_is_written(folder: Path, shard: str) -> bool:
    """Whether an earlier run finished this shard."""
    return _part_path(folder, shard).exists() and (folder / shard).exists()


def finish_set(
    folder: Path, *, classes: ClassList, columns: Sequence[str] = (), notes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Merge the parts into `index.csv` and write `manifest.json`; returns the manifest.

    `classes` is the list that the rows' labels are of. `columns` names the extra columns in their order;
    `notes` is added to the manifest (counts, parameters).
    """
    shards: dict[str, str] = {}
    counts: Counter[tuple[str, int]] = Counter()
    write_csv(folder / INDEX, [*_COLUMNS, *columns], _part_rows(folder, shards, counts))
    manifest = {
        "classes": classes.to_record(),
        "images": {split: _class_counts(counts, split, classes) for split in SPLITS},
        "shards": shards,
        "index": _sha256(folder / INDEX),
        **(notes or {}),
    }
    write_text_whole(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return manifest


class ImageSet:
    """A finished set, opened for reading; `rows` are those of the index, or the caller's (a worker reads no index).

    Raises InputError where the folder is not a finished set, naming what is missing.
    """

    def __init__(self, folder: Path, *, rows: Sequence[Row] | None = None) -> None:
        for name in (INDEX, MANIFEST):
            if not (folder / name).is_file():
                raise InputError(f"{folder} is not a finished set: it has no {name}; re-run the stage that makes it")
        self.folder = folder
        self.manifest = _read_manifest(folder / MANIFEST)
        self.classes = read_class_list(self.manifest.get("classes"), where=str(folder / MANIFEST))
        self.rows = _read_index(folder / INDEX, self.classes) if rows is None else list(rows)
        self.passed_over: Sequence[str] = ()
        self._handles: dict[str, int] = {}

    def split(self, split: str) -> list[Row]:
        """The rows of one split, in the index's order."""
        return [row for row in self.rows if row.split == split]

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order.

        Raises InputError where the set lacks one.
        """
        return rows_by_id(self, ids, advice="re-run the stage that makes it")

    def place(self, row: Row) -> str:
        """Where an image lies, for people."""
        return f"image {row.id} of {self.folder} ({row.name} in {row.shard})"

    def read(self, row: Row) -> bytes:
        """The bytes of one image.

        Raises InputError where the shard is missing, or shorter than its index says.
        """
        if row.shard not in self._handles:
            try:
                self._handles[row.shard] = os.open(self.folder / row.shard, os.O_RDONLY)
            except FileNotFoundError:
                raise InputError(
                    f"{self.folder / row.shard} is missing: `dvc pull` the set, or make it again"
                ) from None
        length = os.fstat(self._handles[row.shard]).st_size
        if row.offset + row.size > length:
            raise InputError(
                f"{self.folder / row.shard} ends before image {row.id} (expected {row.size} bytes at {row.offset}, "
                f"got {max(length - row.offset, 0)}): pull or render the set again"
            )
        return os.pread(self._handles[row.shard], row.size, row.offset)

    def __enter__(self) -> "ImageSet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the shards."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()


@runtime_checkable
class _Rows(Protocol):
    """What holds rows."""

    folder: Path
    rows: list[Row]


def rows_by_id(images: _Rows, ids: Iterable[str], *, advice: str) -> list[Row]:
    """The rows of these ids, in their order.

    Raises InputError with an `advice` where there is none.
    """
    found = {row.id: row for row in images.rows}
    try:
        return [found[image_id] for image_id in ids]
    except KeyError as error:
        raise InputError(f"{images.folder} has no image {error.args[0]}: {advice}") from None


def corrupt_files(images: ImageSet) -> Iterator[str]:
    """The index and shards whose bytes are not those that were written (by SHA-256), or that are missing."""
    for name, expected in {INDEX: images.manifest["index"], **images.manifest["shards"]}.items():
        path = images.folder / name
        if not path.is_file():
            yield name
            continue
        if _sha256(path) != expected:
            yield name


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file whole: a kill leaves the old one or the new one."""
    known = set(columns)
    with _whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            if not known >= row.keys():
                raise ValueError(f"{path.name} has no column {min(row.keys() - known)}")
            writer.writerow([row.get(column, "") for column in columns])


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file whole: a kill leaves the old one or the new one."""
    with _whole(path) as file:
        file.write(text)


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    partial = partial_path(path)
    try:
        with partial.open("w", encoding="utf-8") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def partial_path(path: Path) -> Path:
    """Where a file is written before it gets its name: of one writer alone, since two may make one file at once."""
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}.tmp")


def write_rejected(folder: Path, rejected: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Write `rejected.csv` (cells id, split, label, reason) of a set; returns the counts by reason, for its notes."""
    write_csv(folder / REJECTED, ("id", "split", "label", "reason"), rejected)
    return dict(sorted(Counter(cells["reason"] for cells in rejected).items()))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is broken, expected JSON ({error}): pull or make the set again") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("shards"), dict):
        raise InputError(f"{path} is no manifest of a set, expected its `shards`: pull or make the set again")
    return manifest


def _read_index(path: Path, classes: ClassList) -> list[Row]:
    return [_read_row(path, cells, classes) for cells in iter_table(path, _COLUMNS)]


def _read_row(path: Path, cells: Mapping[str, str], classes: ClassList) -> Row:
    try:
        row = Row.from_cells(cells)
        if row.label not in range(len(classes)) or row.split not in SPLITS or min(row.offset, row.size) < 0:
            raise ValueError(
                f"label {row.label}, split {row.split!r}, offset {row.offset} and size {row.size} are none"
            )
    except ValueError as error:
        raise InputError(f"{path} is broken (image {cells['id']}: {error}): pull or make the set again") from None
    return row


def _part_path(folder: Path, shard: str) -> Path:
    return folder / PARTS / f"{Path(shard).stem}.json"


def _part_rows(folder: Path, shards: dict[str, str], counts: Counter[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """The cells of all parts, one part in memory; notes each shard's hash, and the images by split and label."""
    for path in sorted((folder / PARTS).glob("*.json")):
        part = json.loads(path.read_text())
        shards[f"{path.stem}.tar"] = part["sha256"]
        counts.update((cells["split"], int(cells["label"])) for cells in part["rows"])
        yield from part["rows"]


def _class_counts(counts: Counter[tuple[str, int]], split: str, classes: ClassList) -> dict[str, int]:
    return {classes.folders[label]: counts[of, label] for of, label in sorted(counts) if of == split}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
