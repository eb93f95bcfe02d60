"""ImageNet-C as published: five archives of corrupted photos (Hendrycks and Dietterich 2019), unpacked beside one
another as `bgdata.corrupt.published` reads them."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES
from bgdata.errors import InputError
from bgdata.fetch.archives import extract
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from bgdata.foreign_images import IMAGE_ENDINGS
from bgdata.shards import write_text_whole

SOURCE = "imagenet_c"
# The archives by what is in them: `noise`, `blur` ...
GROUPS = tuple(PurePosixPath(remote.name).stem for remote in SOURCES[SOURCE])


def fetch_imagenet_c(folder: Path, *, groups: Collection[str] = GROUPS, mirror: str | None = None) -> dict[str, int]:
    """Fetch and unpack the archives of `groups` into `folder`; an archive goes when it is unpacked. Goes on after a
    kill. Returns how many photos each gave (0: it was there already).

    Raises InputError where an archive cannot be had, is not the one expected, is damaged, or holds no such photos.
    """
    counts = {}
    for remote in SOURCES[SOURCE]:
        group = PurePosixPath(remote.name).stem
        if group not in groups:
            continue
        counts[group] = 0
        done = folder / f".{remote.name}.unpacked"
        if done.is_file():
            continue
        archive = fetch_file(remote, folder, mirror=mirror)
        counts[group] = extract(archive, folder, keep=_is_corrupted_photo)
        if not counts[group]:
            raise InputError(
                f"{archive} holds no <corruption>/<severity>/<class>/<image>: it is not the archive of {remote.url}; "
                "remove it and run again"
            )
        write_text_whole(done, f"{counts[group]} files\n")
        archive.unlink()
    return counts


def _is_corrupted_photo(member: str) -> bool:
    """Whether a member is a photo of a known corruption, with or without folders around it."""
    path = PurePosixPath(member)
    if len(path.parts) < 4 or path.suffix.lower() not in IMAGE_ENDINGS:
        return False
    name, severity = path.parts[-4:-2]
    return name in CORRUPTIONS and severity in map(str, SEVERITIES)
