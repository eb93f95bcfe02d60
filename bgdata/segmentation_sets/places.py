"""Finds a set's files on disk by the names that lists and records give them."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from bgdata.hidden import is_hidden


class Places:
    """The files below some folders, the first folder first.

    A name may have backslashes, `./`, a folder or an address that is not there, and its ending in another case.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def find(self, name: str, endings: Sequence[str] = ("",)) -> Path | None:
        """The file of a name with one of the endings (as `.jpg`); None where there is none, or several could be it."""
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts[-1:]:
            return None
        plain = PurePosixPath(*parts[max((n + 1 for n, part in enumerate(parts) if part == ".."), default=0) :])
        for ending in endings:
            for folder in self._folders:
                path = folder / f"{plain}{ending}"
                if os.path.isfile(path):  # noqa: PTH113 (Path.is_file raises for a name that no disk takes)
                    return path
        for key in (str(plain), plain.name):
            found = {path for ending in endings for path in self._by_name.get(f"{key}{ending}".lower(), ())}
            if len(found) == 1:
                return found.pop()
        return None

    @cached_property
    def _by_name(self) -> dict[str, set[Path]]:
        """The files by their places below each folder and by their bare names, in lower case."""
        named: dict[str, set[Path]] = {}
        for folder in self._folders:
            for path in folder.rglob("*"):
                place = path.relative_to(folder).as_posix()
                if not is_hidden(place) and path.is_file():
                    for key in {place.lower(), path.name.lower()}:
                        named.setdefault(key, set()).add(path)
        return named
