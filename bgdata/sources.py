"""Where a judge's images come from: our own sets, or the official release as a folder or an archive."""

from collections.abc import Iterable
from pathlib import Path

from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.release import ReleaseSet, find_release, is_archive, read_archive, read_tree
from bgdata.shards import MANIFEST, ImageSet


def open_sources(data: Path, names: Iterable[str]) -> dict[str, ImageSource]:
    """The sets `names` (variants, `fg_mask`) under `data`, by name.

    `data` is a folder of our sets (`data/in9`), the official release's folder (or the one around it), or its `.tar.gz`,
    which is read once and kept in memory, the sets that were asked for alone.

    Raises InputError where there is nothing of the kind, or one of the sets is missing.
    """
    wanted = tuple(names)
    if is_archive(data):
        return dict(read_archive(data, wanted))
    if not data.is_dir():
        raise InputError(f"{data} is no folder and no .tar.gz: give the official release, or a folder of our sets")
    if any((data / name / MANIFEST).is_file() for name in wanted):
        return {name: ImageSet(data / name) for name in wanted}
    root = find_release(data, wanted)
    sets: dict[str, ReleaseSet] = {name: read_tree(root, name) for name in wanted}
    return dict(sets)
