"""An unfinished file on disk: what it holds, what it belongs to, and whether it has become the file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bgdata.errors import InputError
from bgdata.fetch.sources import RemoteFile
from bgdata.shards import write_text_whole

_CHUNK = 2**20
_OTHER_FILE = "the publisher has changed it, or a mirror or proxy serves another file: try another mirror"


class Part:
    """`<name>.part`: its bytes, their running hash, and (in `<name>.part.json`) the server's file they belong to."""

    def __init__(self, remote: RemoteFile, folder: Path, *, url: str) -> None:
        self.remote = remote
        self.url = url
        self._path = folder / f"{remote.name}.part"
        self._notes_path = folder / f"{remote.name}.part.json"
        self._notes = _read_notes(self._notes_path, url)
        self._digest = _new_digest(remote)
        self.size = 0
        if self._path.exists():
            for chunk in read_chunks(self._path):
                self._count(chunk)
        self.is_stitched = self.size > 0

    @property
    def total(self) -> int | None:
        """How many bytes the whole file has, where anyone has said so."""
        return self.remote.size if self.remote.size is not None else self._notes.get("total")

    @property
    def validator(self) -> str | None:
        """What If-Range takes: a strong ETag, or a date."""
        etag = self._notes.get("etag")
        return etag if etag and not etag.startswith("W/") else self._notes.get("last-modified")

    @property
    def can_go_on(self) -> bool:
        """Whether something vouches that further bytes fit these: the file's hash, or the server's validator."""
        return self._digest is not None or self.validator is not None

    def belongs_to(self, notes: Mapping[str, Any]) -> bool:
        """Whether the server's file is still the one that the part was begun with, as far as both are known."""
        pairs = [(self._notes.get(key), notes[key]) for key in ("etag", "last-modified")]
        return all(ours == theirs for ours, theirs in pairs if ours and theirs)

    def restart(self, notes: Mapping[str, Any] | None = None) -> None:
        """Begin anew, with what the server says of its file (`etag`, `last-modified`, `total`)."""
        self._path.open("wb").close()
        self._notes = {**(notes or {}), "url": self.url}
        write_text_whole(self._notes_path, json.dumps(self._notes))
        self._digest = _new_digest(self.remote)
        self.size = 0
        self.is_stitched = False

    def append(self, chunks: Iterator[bytes]) -> Iterator[int]:
        """Write chunks to the end, and yield the length of each.

        Raises InputError where they are more than the file should have.
        """
        self.is_stitched = self.size > 0
        with self._path.open("ab") as file:
            for chunk in chunks:
                if self.total is not None and self.size + len(chunk) > self.total:
                    raise InputError(
                        f"{shown(self.url)} sends more than the expected {self.total} bytes: {_OTHER_FILE}"
                    )
                file.write(chunk)
                self._count(chunk)
                yield len(chunk)

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._digest is not None:
            self._digest.update(chunk)

    def check_total(self, total: int | None) -> None:
        """Raise InputError where the server's file has another size than the expected one."""
        if total is not None and self.remote.size not in (None, total):
            raise InputError(f"{shown(self.url)} has {total} bytes, expected {self.remote.size}: {_OTHER_FILE}")

    def is_right(self) -> bool:
        """Whether size and hash are the expected ones."""
        return _flaw(self.remote, self.size, self._digest) is None

    def finish(self, path: Path) -> None:
        """Give the whole file its name.

        Raises InputError where it is not the one expected; nothing is kept of it.
        """
        flaw = _flaw(self.remote, self.size, self._digest)
        if flaw is not None:
            self._path.unlink()
            self._notes_path.unlink(missing_ok=True)
            raise InputError(f"{shown(self.url)} is not the file that was expected: {flaw}; {_OTHER_FILE}")
        self._path.replace(path)
        self._notes_path.unlink(missing_ok=True)


def is_right(remote: RemoteFile, path: Path) -> bool:
    """Whether a finished file has the expected size and hash, as far as they are known."""
    size, digest = path.stat().st_size, _new_digest(remote)
    if digest is not None and remote.size in (None, size):
        for chunk in read_chunks(path):
            digest.update(chunk)
    return _flaw(remote, size, digest) is None


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def shown(url: str) -> str:
    """A URL as messages may show it: without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _read_notes(path: Path, url: str) -> dict[str, Any]:
    """The notes of an earlier run; none where they speak of another server's file."""
    try:
        notes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return notes if notes["url"] == url else {}


def _new_digest(remote: RemoteFile) -> "hashlib._Hash | None":
    if remote.sha256:
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False) if remote.md5 else None


def _flaw(remote: RemoteFile, size: int, digest: "hashlib._Hash | None") -> str | None:
    if remote.size not in (None, size):
        return f"it has {size} bytes, expected {remote.size}"
    expected = remote.sha256 or remote.md5
    if digest is not None and digest.hexdigest() != expected:
        return f"its {digest.name} is {digest.hexdigest()}, expected {expected}"
    return None
