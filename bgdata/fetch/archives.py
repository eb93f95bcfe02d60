"""Archives (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz) of strangers: read or unpacked, no byte outside the folder."""

import bz2
import errno
import gzip
import io
import lzma
import shutil
import stat
import struct
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

from bgdata.contents import describe_start
from bgdata.errors import InputError
from bgdata.hidden import is_hidden

_BOMB_BYTES = 2**30
_BOMB_RATIO = 100
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # all four bytes: a tar begins with its first file's name
# What a compressed tar begins with, and what reads it.
_PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# How much of a file is looked at to tell what it is: past the header of a tar's first member.
_START = 512
# What the libraries raise for damage.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    OverflowError,
    struct.error,
)


def extract(
    archive: Path, folder: Path, *, keep: Callable[[str], bool] | None = None, max_bytes: int | None = None
) -> int:
    """Unpack the archive's files into `folder`, and return how many are there.

    `keep` chooses by a member's name (all, by default); hidden and system files are left out. Files that are there with
    the right size are skipped, so a killed extraction goes on. `max_bytes` bounds what is unpacked (default: 1 GiB or
    100 times the archive).

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
        start = file.read(_START)
        file.seek(0)
        read = _zip_members if start.startswith(_ZIP) else _tar_members
        try:
            yield read(archive, file, lambda name: not is_hidden(name) and (keep is None or keep(name)))
        except (*_DAMAGE, OSError) as error:
            # Those of the disk are raised; what the libraries find damaged has no number, or lies before the start.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            raise InputError(f"{archive} {_fault(start)}") from error


def _fault(start: bytes) -> str:
    """What is wrong with a file that begins so and could not be read to its end."""
    again = "remove it and what was unpacked of it, and fetch it again"
    if start.startswith((*_ZIP, *_PACKED)) or start[257:262] == b"ustar":
        return f"is damaged or cut short: {again}"
    what = describe_start(start) or f"not a whole archive (it begins {start[:4]!r})"
    return f"is {what}, expected .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz: {again}"


def _zip_members(archive: Path, file: IO[bytes], keep: Callable[[str], bool]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            if info.is_dir() or not keep(_plain(info.filename)):
                continue
            is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
            _check(archive, info.filename, is_file=is_file)
            if info.flag_bits & 1 or info.compress_type not in _ZIP_METHODS:
                raise InputError(f"{info.filename} in {archive} has a password or a rare compression: pack it anew")
            yield _Member(_plain(info.filename), info.file_size, info.header_offset, partial(opened.open, info))


def _tar_members(archive: Path, file: IO[bytes], keep: Callable[[str], bool]) -> Iterator[_Member]:
    start = file.read(_START)
    file.seek(0)
    unpack = next((reader for sign, reader in _PACKED.items() if start.startswith(sign)), None)
    blocks = _Blocks(unpack(file) if unpack else file)
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
    while blocks.read(2**16):  # a checksum stands at the end
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
