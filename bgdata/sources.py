"""Where a judge's images come from: our own sets, or the official release as a folder or an archive."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.release import check_complete, read_archive, read_tree
from bgdata.shards import INDEX, MANIFEST, ImageSet


def open_sources(
    data: Path, names: Iterable[str], *, split: str | None = None, optional: Iterable[str] = ()
) -> dict[str, ImageSource]:
    """The sets `names` (variants, `fg_mask`) under `data`, by name; and those of `optional` that are there, with
    images of `split`.

    `data` is a folder of our sets (`data/in9`), the official release's folder (or the one around it), or an archive of
    it (`.tar.gz`, `.zip` ...), which is read once and kept in memory, the sets that were asked for alone.

    Raises InputError where there is nothing of the kind, one of the sets is missing, or has no image of `split`.
    """
    wanted = tuple(dict.fromkeys(names))
    further = tuple(name for name in dict.fromkeys(optional) if name not in wanted)
    sources = dict(_open(data, wanted, further))
    for name, source in list(sources.items()):
        if split is not None and not source.split(split):
            if name in further:
                del sources[name]
                continue
            others = ", ".join(sorted({row.split for row in source.rows})) or "none at all"
            raise InputError(f"{source.folder} has no image of the split {split} (it has {others}): choose another")
    return sources


def _open(data: Path, wanted: tuple[str, ...], optional: tuple[str, ...]) -> Mapping[str, ImageSource]:
    if data.is_file():
        return read_archive(data, wanted, optional=optional)
    if not data.is_dir():
        raise InputError(f"{data} is no folder and no archive: give the official release, or a folder of our sets")
    if (data / MANIFEST).is_file():
        raise InputError(f"{data} is a single set: give the folder around it")
    if not any((data / name / file).is_file() for name in wanted for file in (INDEX, MANIFEST)):
        return read_tree(data, wanted, optional=optional)
    check_complete(data, wanted, [name for name in wanted if (data / name).is_dir()])
    there = [name for name in optional if (data / name / MANIFEST).is_file()]
    return {name: ImageSet(data / name) for name in (*wanted, *there)}


def passed_over(sources: Mapping[str, ImageSource], split: str) -> dict[str, dict[str, int]]:
    """How many files among the images of a split are none and were left out: by set and by their ending.

    Sets without any are absent; hidden files and the system's own are nobody's images and not counted.
    """
    endings = {
        name: Counter(
            PurePosixPath(file).suffix or PurePosixPath(file).name
            for file in source.passed_over
            if PurePosixPath(file).parts[0] == split
        )
        for name, source in sources.items()
    }
    return {name: dict(sorted(counted.items())) for name, counted in endings.items() if counted}
