"""The official boxes of ImageNet's photos, put beside the photos that are there."""

import os
from pathlib import Path, PurePosixPath

from bgdata.fetch.archives import iterate_members
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from bgdata.ingest.ilsvrc import IlsvrcTree

SOURCE = "imagenet_boxes"


def fetch_boxes(tree: IlsvrcTree, *, downloads: Path, mirror: str | None = None) -> int:
    """Write the annotation of each photo of the tree that has one, from the official archives; returns how many.

    ImageNet annotates about half of its training photos, and all for validation. The archives (22 MB) stay in
    `downloads`.

    Raises InputError where an archive cannot be had or is damaged.
    """
    places = _places(tree)
    written = 0
    for remote in SOURCES[SOURCE]:
        archive = fetch_file(remote, downloads, mirror=mirror)
        for member, data in iterate_members(archive, keep=lambda member: _stem(member) in places):
            # The photo says where it goes, whatever folders the archive names.
            folder = tree.annotations / places[_stem(member)]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{_stem(member)}.xml").write_bytes(data)
            written += 1
    return written


def _places(tree: IlsvrcTree) -> dict[str, Path]:
    """The folder of each photo, by its file's stem: `train/<wnid>` or `val`."""
    places: dict[str, Path] = {}
    for folder, _, names in os.walk(tree.photos):
        below = Path(folder).relative_to(tree.photos)
        places.update((Path(name).stem, below) for name in names)
    return places


def _stem(member: str) -> str:
    path = PurePosixPath(member)
    return path.stem if path.suffix.lower() == ".xml" else ""
