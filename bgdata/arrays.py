"""Arrays in files, mapped into memory: for what several processes write, or what memory does not hold."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np


def create_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    """Create a `.npy` file of zeros with its room on the disk taken; whole or not at all.

    Raises OSError (ENOSPC) where the disk has no such room: a sparse file would end the process with SIGBUS later.
    """
    partial = path.with_name(f"{path.name}.tmp")
    np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape)
    try:
        _take_room(partial)
    except OSError as error:
        partial.unlink()
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    partial.replace(path)


class ArrayWriter:
    """Fills an array of `create_array` item by item, each of `shape`.

    A write costs half of what the page faults of a memory map do. On storage that machines share, a page that two of
    them map would be written as one of them sees it.
    """

    def __init__(self, path: Path) -> None:
        array = np.load(path, mmap_mode="r")
        self._start, self._item = array.offset, array[0]
        self.shape = self._item.shape
        self._file = path.open("r+b")

    def __setitem__(self, position: int, item: np.ndarray) -> None:
        if (item.shape, item.dtype) != (self._item.shape, self._item.dtype):
            raise ValueError(
                f"expected an item {self._item.shape} of {self._item.dtype}, got {item.shape} of {item.dtype}"
            )
        self._file.seek(self._start + position * self._item.nbytes)
        self._file.write(np.ascontiguousarray(item).data)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _take_room(path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, file.seek(0, os.SEEK_END))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot promise room
                raise
