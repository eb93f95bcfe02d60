"""A worker's side, the same for every engine: where the driver works, and what comes of a task."""

import errno
import hashlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import cv2

import bgdata
from bgdata.engines.base import Work, finish
from bgdata.errors import InputError

# The code that stages run; by its bytes, since a checkout may hold what was never committed.
_PACKAGES = ("bgdata", "models", "pipeline")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_Answer = TypeVar("_Answer")
_entered = False


@dataclass(frozen=True)
class Place:
    """Where a driver works, as its workers must find it: the folder, a file in its scratch folder, and the code."""

    folder: Path
    sign: Path
    code: str


def set_place(scratch: Path) -> Place:
    """The place of this process, which is a driver; leaves a sign in `scratch` for its workers to see."""
    sign = scratch.absolute() / f".driver-{uuid4().hex[:8]}.tmp"
    sign.touch()
    return Place(Path.cwd(), sign, code_digest(checkout()))


@cache
def enter(place: Place) -> None:
    """Make this process a worker of a driver's: in its folder, with one OpenCV thread.

    Raises InputError where the worker does not see the driver's folders, or has other code than the driver.
    """
    global _entered
    host = socket.gethostname()
    if not place.sign.is_file() or not place.folder.is_dir():
        raise InputError(
            f"the worker on {host} does not see {place.sign.parent}: check the project out on storage that all "
            "machines share, at one path, or set WORK_DIR to a folder there"
        )
    if (code := code_digest(checkout())) != place.code:
        raise InputError(
            f"the worker on {host} has other code in {checkout()} ({code[:8]}) than the driver ({place.code[:8]}): "
            "bring both to the same commit, without local changes"
        )
    os.chdir(place.folder)
    cv2.setNumThreads(1)
    _entered = True


def is_worker() -> bool:
    """Whether this process works for an engine: what it spreads itself stays on its machine."""
    return _entered


def hold(place: Place, work: Work) -> tuple[Any, ...] | Exception:
    """Enter, and build the work's network, if it has one; as `attempt` answers."""

    def build() -> tuple[Any, ...]:
        enter(place)
        return () if work.network is None else (work.network.build(),)

    return _answer(build)


def attempt(place: Place, work: Work, number: int, first: tuple[Any, ...] = ()) -> int | Exception:
    """Make the `number`-th task, with what `hold` answered; returns its units, or the mistake or full disk that it met,
    which the driver raises.

    Returned and not raised: an engine wraps what is raised into pages of its own traceback. Bugs are raised.
    """

    def make() -> int:
        counts: list[int] = []
        enter(place)
        finish(work.function(*first, *work.tasks[number]), counts.append)
        return sum(counts)

    return _answer(make)


def _answer(make: Callable[[], _Answer]) -> _Answer | Exception:
    try:
        return make()
    except InputError as error:
        return error
    except OSError as error:
        if error.errno in _FULL:
            return error
        raise


def code_digest(root: Path) -> str:
    """A hash of all files of code in a checkout, by name and bytes."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def checkout() -> Path:
    """The folder whose code this process runs."""
    return Path(bgdata.__file__).resolve().parents[1]
