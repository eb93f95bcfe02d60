"""Files that arrive whole: resumed after a break or a kill, retried, checked against size and hash, never fetched
twice."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from filelock import FileLock
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.fetch.http import Interrupted, ask, origin
from bgdata.fetch.part import Part, is_right, read_chunks, shown
from bgdata.fetch.sources import RemoteFile

DELAYS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_DELAYS_OFFLINE = 2


def fetch_file(
    remote: RemoteFile,
    folder: Path,
    *,
    mirror: str | None = None,
    headers: Mapping[str, str] | None = None,
    delays: Sequence[float] = DELAYS,
    timeout: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Put a remote file into `folder` whole, and return its path; a file that is there and right is not fetched.

    While unfinished it is `<name>.part`, from which a later call goes on; a file under its name that is not the right
    one is moved to `<name>.wrong`. `mirror` is a base URL (`https://host/x/` or `file:///mnt/weights/`) that replaces
    all of the URL before the file's name, and before the folder that it lies `under`, if any. `headers` (a token) go
    to the URL's own host alone: neither to a mirror nor along a redirect. `delays` are the waits in seconds between
    tries that brought nothing new; `timeout` is how long in seconds a silent server is waited for.

    Raises InputError where the file cannot be had or is not the one expected; OSError where the disk is full.
    """
    url = _address(remote, mirror)
    sent = _checked(headers or {}) if origin(url) == origin(remote.url) else {}
    folder.mkdir(parents=True, exist_ok=True)
    path, lock = folder / remote.name, folder / f"{remote.name}.lock"
    with FileLock(lock):
        if path.exists() and not is_right(remote, path):
            path.replace(folder / f"{remote.name}.wrong")
        if not path.exists():
            part = Part(remote, folder, url=url)
            _complete(part, sent, delays=delays, timeout=timeout, sleep=sleep)
            if part.is_stitched and not part.is_right():  # pieces of two files, perhaps: once more, in one piece
                part.restart()
                _complete(part, sent, delays=delays, timeout=timeout, sleep=sleep)
            part.finish(path)
        # Whoever waits for the lock finds the file; after an error it stays, for whoever goes on.
        lock.unlink(missing_ok=True)
    return path


def _complete(
    part: Part,
    headers: Mapping[str, str],
    *,
    delays: Sequence[float],
    timeout: float,
    sleep: Callable[[float], None],
) -> None:
    """Fetch until the part is whole; the tries are counted anew after each that brought something new."""
    tries, furthest, reached = 0, part.size, False
    label = part.remote.name
    with requests.Session() as session, tqdm(desc=label, unit="B", unit_scale=True, mininterval=1.0) as bar:
        receive = partial(_receive, session, headers=headers, timeout=timeout)
        while True:
            try:
                return (_copy if part.url.startswith("file:") else receive)(part, bar)
            except Interrupted as trouble:
                reached = reached or trouble.reached
                if part.size > furthest:
                    tries, furthest = 0, part.size
                if tries == len(delays) or (tries == _DELAYS_OFFLINE and not reached):
                    raise InputError(f"{shown(part.url)} could not be fetched: {trouble}") from None
                bar.set_postfix_str(f"waiting: {trouble}")
                sleep(max(delays[tries], trouble.wait))
                tries += 1


def _receive(
    session: requests.Session, part: Part, bar: "tqdm[Any]", *, headers: Mapping[str, str], timeout: float
) -> None:
    """Fetch what the part lacks with one request."""
    if part.size and (not part.can_go_on or (part.total is not None and part.size > part.total)):
        part.restart()
    if part.size and part.size == part.total:
        return
    with ask(session, part, headers=headers, timeout=timeout) as chunks:
        _fill(part, bar, chunks)


def _copy(part: Part, bar: "tqdm[Any]") -> None:
    source = Path(url2pathname(urlsplit(part.url).path))
    if not source.is_file():
        raise InputError(f"{source} is not a file: put {part.remote.name} there, or set another mirror")
    part.check_total(source.stat().st_size)
    part.restart()
    _fill(part, bar, read_chunks(source))


def _fill(part: Part, bar: "tqdm[Any]", chunks: Iterable[bytes]) -> None:
    bar.set_postfix_str("")
    bar.total = part.total
    bar.initial = bar.n = part.size
    for length in part.append(iter(chunks)):
        bar.update(length)


def _address(remote: RemoteFile, mirror: str | None) -> str:
    if PurePath(remote.name).name != remote.name or remote.name in ("", ".."):  # it may come from a server's listing
        raise InputError(f"{remote.name!r} is no file's name: expected one without folders")
    if mirror is None:
        return remote.url
    parts = urlsplit(mirror)
    if parts.query or not (parts.scheme == "file" or (parts.scheme in ("https", "http") and parts.netloc)):
        raise InputError(
            f"the mirror is no base URL (it begins {mirror[:8]!r}): write https://host/folder/, or "
            "file:///folder/ for a folder of this machine"
        )
    return "/".join(filter(None, (mirror.rstrip("/"), remote.under, remote.name)))


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, each fit to be sent: the network's own complaint would show a token."""
    for name, value in headers.items():
        if not value.isascii() or not value.isprintable():
            raise InputError(f"the header {name} holds a line break or a character that is not ASCII: check the token")
    return dict(headers)
