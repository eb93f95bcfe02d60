"""Arrays in files, mapped into memory: for what several processes write, or what memory does not hold."""

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
    if hasattr(os, "posix_fallocate"):
        with partial.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                partial.unlink()
                raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    partial.replace(path)
