"""One real photo a synset, for anyone with a network: https://github.com/EliSchwartz/imagenet-sample-images."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from bgdata.errors import InputError
from bgdata.fetch.archives import iterate_members
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from bgdata.foreign_images import IMAGE_ENDINGS

SOURCE = "imagenet_sample_images"
_NAMED = 5


def fetch_sample(folder: Path, *, wnids: Collection[str], downloads: Path, mirror: str | None = None) -> int:
    """Put the sample's photos of `wnids` into the flat `folder`; returns how many.

    The archive (about 110 MB) stays in `downloads`, so that a killed run goes on and another one fetches nothing.

    Raises InputError where the archive cannot be had, is damaged, or lacks a photo of one of the synsets.
    """
    (remote,) = SOURCES[SOURCE]
    archive = fetch_file(remote, downloads, mirror=mirror)
    wanted = set(wnids)
    folder.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    for member, data in iterate_members(archive, keep=lambda member: _wnid(member) in wanted):
        (folder / PurePosixPath(member).name).write_bytes(data)
        found.append(_wnid(member))
    if missing := sorted(wanted - set(found)):
        raise InputError(
            f"expected a photo of each of {len(wanted)} synsets in {archive}, but {len(missing)} have none "
            f"({', '.join(missing[:_NAMED])}{', ...' if len(missing) > _NAMED else ''}): it is not the archive of "
            f"{remote.url}; remove it and run again"
        )
    return len(found)


def _wnid(member: str) -> str:
    """The wnid that a photo's name begins with; what is no photo has another text, or none."""
    name = PurePosixPath(member).name
    return name.partition("_")[0] if name.lower().endswith(IMAGE_ENDINGS) else ""
