"""What all exports share: the folder that they write into, and the bar that shows how far they are."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.shards import INDEX, MANIFEST, Row


def claim_folder(folder: Path) -> Path:
    """Make the folder that an export writes.

    Raises InputError where it holds something already, or lies in a set: two exports must not be mixed.
    """
    for place in (folder, folder.parent):
        if all((place / name).is_file() for name in (INDEX, MANIFEST)):
            raise InputError(f"{place} is a set itself: name another folder to export to, after the set")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: remove it, or export to another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_member(path: Path, data: bytes) -> None:
    """Write one file of an export, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def progress(rows: Sequence[Row], label: str) -> Iterable[Row]:
    """The rows, with a bar."""
    return tqdm(rows, desc=label, unit="image", mininterval=1.0)
