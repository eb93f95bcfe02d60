"""Keeps what decoders of images write about a user's files out of the terminal."""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2


class _Silence:
    """Python's warnings and the process's standard error, switched off while anybody decodes.

    Both belong to the whole process: the first thread that enters switches them off, the last that leaves, on again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._warnings = warnings.catch_warnings()
        self._stderr: int | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._warnings = warnings.catch_warnings()
                self._warnings.__enter__()
                warnings.simplefilter("ignore")
                self._stderr = _redirected()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                if self._stderr is not None:
                    os.dup2(self._stderr, _STDERR)
                    os.close(self._stderr)
                self._warnings.__exit__(None, None, None)


_SILENCE = _Silence()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Warnings of PIL, and what libjpeg, libpng, libtiff and OpenCV print, go nowhere; from any number of threads.

    Those libraries write to file descriptor 2 themselves, so no stream of Python's can hold them back.
    """
    _SILENCE.enter()
    try:
        yield
    finally:
        _SILENCE.leave()


def keep_own_stderr() -> None:
    """Let Python write to a copy of standard error, which no silence reaches: bars go on while photos are decoded.

    For programs, once at their start; where another stream has taken its place (in tests) nothing is done.
    """
    own = sys.stderr
    if own is sys.__stderr__ and own is not None:
        copy = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding=own.encoding, errors="backslashreplace")
        sys.stderr = copy


def _redirected() -> int | None:
    """Point standard error at nothing; returns a copy of what it was, None where it was closed."""
    try:
        copy = os.dup(_STDERR)
    except OSError:
        return None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)
    return copy
