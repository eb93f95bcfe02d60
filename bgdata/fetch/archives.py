"""Archives (.zip, .tar, .tar.gz) from strangers: read or unpacked without a byte outside the folder."""

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from tqdm import tqdm

from bgdata.errors import InputError

_BOMB_BYTES = 2**30
_BOMB_RATIO = 100
_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # all four bytes: a tar begins with its first file's name


def extract(
    archive: Path, folder: Path, *, keep: Callable[[str], bool] | None = None, max_bytes: int | None = None
) -> int:
    """Unpack the archive's files into `folder`, and return how many are there.

    `keep` chooses by a member's name (all, by default). Files that are there with the right size are skipped, so a
    killed extraction goes on. `max_bytes` bounds what is unpacked (default: 1 GiB or 100 times the archive).

    Raises InputError where the archive is damaged or foreign, or a kept member is a link, a device, or lies outside.
    """
    packed = _size(archive)
    limit = max(_BOMB_BYTES, _BOMB_RATIO * packed) if max_bytes is None else max_bytes
    count = unpacked = 0
    with _members(archive, keep) as members, tqdm(total=packed, desc=archive.name, unit="B", unit_scale=True) as bar:
        for member in members:
            unpacked += member.size
            if unpacked > limit:
                raise InputError(f"{archive} unpacks to more than the expected {limit} bytes: a bomb, or not this data")
            target = folder / member.name
            if not (target.is_file() and target.stat().st_size == member.size):
                _write_whole(member, target)
            count += 1
            bar.update(member.position - bar.n)
        bar.update(packed - bar.n)
    return count


def iterate_members(
    archive: Path, *, keep: Callable[[str], bool] | None = None, max_bytes: int = 2**28
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of the archive's files one after the other, in the archive's order, in constant memory.

    `keep` chooses by a member's name (all, by default); `max_bytes` bounds one member.

    Raises InputError as `extract` does; the damage of a truncated archive shows at its end.
    """
    with _members(archive, keep) as members:
        for member in members:
            if member.size > max_bytes:
                raise InputError(f"{member.name} in {archive} has {member.size} bytes, expected {max_bytes} at most")
            with member.open() as file:
                yield member.name, file.read()


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its safe name, its size unpacked, how far into the archive it is, and its bytes."""

    name: str
    size: int
    position: int
    open: Callable[[], Any]


def _write_whole(member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.tmp")
    with member.open() as source, unfinished.open("wb") as file:
        shutil.copyfileobj(source, file, 2**20)
    unfinished.replace(target)


@contextmanager
def _members(archive: Path, keep: Callable[[str], bool] | None) -> Iterator[Iterator[_Member]]:
    """Give the files that `keep` takes, each to be read before the next is asked for; damage becomes a sentence."""
    _size(archive)
    with archive.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        known = start in _ZIP or start[:2] == _GZIP
        what = "is damaged or cut short" if known else f"is not a whole .zip, .tar or .tar.gz (it begins {start!r})"
        try:
            yield (_zip_members if start in _ZIP else _tar_members)(archive, file, keep or (lambda _: True))
        except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise InputError(f"{archive} {what}: remove it and what was unpacked of it, and fetch it again") from error


def _zip_members(archive: Path, file: IO[bytes], keep: Callable[[str], bool]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            if info.is_dir() or not keep(_plain(info.filename)):
                continue
            is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            _check(archive, info.filename, is_file=is_file)
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(f"{info.filename} in {archive} has a password or a rare compression: pack it anew")
            yield _Member(_plain(info.filename), info.file_size, info.header_offset, partial(opened.open, info))


def _tar_members(archive: Path, file: IO[bytes], keep: Callable[[str], bool]) -> Iterator[_Member]:
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    blocks = _Blocks(gzip.GzipFile(fileobj=file) if is_packed else file)
    with tarfile.open(fileobj=blocks, mode="r:") as opened:
        while (info := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined] # it would keep all: half a gigabyte for ImageNet's boxes
            if info.isdir() or not keep(_plain(info.name)):
                continue
            _check(archive, info.name, is_file=info.isreg())
            yield _Member(_plain(info.name), info.size, file.tell(), partial(opened.extractfile, info))
    # tarfile takes a broken header, or the end of the file, for the end of the archive: that is a block of zeros.
    if blocks.last != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end")
    while blocks.read(2**16):  # gzip's checksum stands at its end
        pass


class _Blocks(io.RawIOBase):
    """A file that remembers what was read last."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())


def _plain(name: str) -> str:
    """The name without `.` parts and doubled slashes."""
    return str(PurePosixPath(name))


def _check(archive: Path, name: str, *, is_file: bool) -> None:
    """Raise InputError for what is no file, or would lie outside the folder on this or another system."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.name or "\\" in name or PureWindowsPath(name).drive:
        raise InputError(f"{archive} holds {name!r}, expected names below its own folder: do not trust this archive")
    if not is_file:
        raise InputError(f"{name} in {archive} is a link or a device, expected plain files: do not trust this archive")


def _size(archive: Path) -> int:
    if not archive.is_file():
        raise InputError(f"{archive} is missing: fetch it first")
    return archive.stat().st_size
