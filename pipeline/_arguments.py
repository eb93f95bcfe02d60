"""What the commands' arguments may be, said before any work starts."""

import argparse
import math
import tempfile
from pathlib import Path

from bgdata.compose.names import VARIANTS, is_further_set
from bgdata.errors import InputError


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _whole(text, least=1)


def seed(text: str) -> int:
    """A whole number of 0 or more."""
    return _whole(text, least=0)


def per_class(text: str) -> int | None:
    """A whole number of 0 or more, or `all` (None)."""
    return None if text == "all" else _whole(text, least=0)


def number(text: str) -> float:
    """A number that is finite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number")
    return value


def positive_number(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def part(text: str) -> tuple[int, int]:
    """`2/4` as (2, 4)."""
    first, _, count = text.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with I from 1 to N, as 2/4")
    return int(first), int(count)


def judged_set(text: str) -> str:
    """The name of a set that can be judged: a variant, or a set of a further source or correlation."""
    if text in VARIANTS or is_further_set(text):
        return text
    raise argparse.ArgumentTypeError(
        f"{text!r}: expected one of {', '.join(VARIANTS)}, or a further set, as only_bg_f or mixed_correlated_c95"
    )


def check_file(path: Path | None, *, argument: str) -> None:
    """Try whether a result can be written to `path` (None: none was asked for); what lies there stays as it is.

    Raises InputError where it cannot, naming the `argument`.
    """
    if path is None:
        return
    check_folder(path.parent, argument=argument, name=path.name)
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "no plain file"
        raise InputError(f"{argument} {path} is {what}: name a file")


def check_folder(folder: Path | None, *, argument: str, name: str = "file") -> None:
    """Try whether files (such as `name`) can be written into a folder, which is made where it is missing.

    Raises InputError where they cannot, naming the `argument`.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # As the result will be written (`write_text_whole`): beside it first, under a longer name.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{name}.", suffix=".tmp"):
            pass
    except OSError as error:
        place = f"{folder}: {error.strerror}"
        raise InputError(f"{argument} cannot be written ({place}): name a place where you may write") from None


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of {least} or more")
    return value
