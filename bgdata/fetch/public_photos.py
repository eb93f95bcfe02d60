"""Labelled photos that anybody may download without a login, unpacked as ImageFolder trees for the source `folder`.

- `oxford_pets`: 37 breeds, 7,349 photos, each with a trimap (Parkhi et al. 2012, "Cats and Dogs").
- `imagenette`: ten ImageNet classes at a shorter side of 160 pixels (fast.ai), without boxes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from bgdata.errors import InputError
from bgdata.fetch.archives import iterate_members
from bgdata.fetch.download import fetch_file
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.fetch.sources import SOURCES
from bgdata.io import decode_palette, encode_mask
from bgdata.shards import write_text_whole

_DONE = ".unpacked"
_NUMBERED = re.compile(r"(?P<breed>.+)_\d+")
# A trimap's values: 1 the pet, 2 the background, 3 the outline between them, which belongs to no background.
_BACKGROUND = 2


def fetch_public_photos(source: str, folder: Path, *, downloads: Path, mirror: str | None = None) -> None:
    """Put the photos of `oxford_pets` or `imagenette` into `folder`; archives stay in `downloads`.

    Raises InputError where an archive cannot be had, is damaged, or is not of its publisher's form.
    """
    if (folder / _DONE).is_file():
        return
    archives = [fetch_file(remote, downloads, mirror=mirror) for remote in SOURCES[source]]
    count = sum(_write(folder / path, data) for path, data in _UNPACK[source](*archives))
    if not count:
        raise InputError(f"{archives[0]} holds no photo of {source}: remove it, and run again")
    write_text_whole(folder / _DONE, f"{count} files\n")


def _write(path: Path, data: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return 1


def _unpack_pets(annotations: Path, images: Path) -> Iterator[tuple[str, bytes]]:
    splits = _pet_splits(annotations)
    for member, data in iterate_members(annotations, keep=lambda name: "/trimaps/" in f"/{name}"):
        place = _pet_place(member, splits, ".png")
        if place is not None:
            yield f"masks/{place}", encode_mask(decode_palette(data) != _BACKGROUND)
    for member, data in iterate_members(images, keep=lambda name: name.lower().endswith(".jpg")):
        place = _pet_place(member, splits, ".jpg")
        if place is not None:
            yield place, data


def _pet_splits(annotations: Path) -> dict[str, str]:
    """The split of each photo by its stem, as the authors' two lists have it."""
    lists = {"trainval.txt": "train", "test.txt": "test"}
    splits: dict[str, str] = {}
    for member, data in iterate_members(annotations, keep=lambda name: PurePosixPath(name).name in lists):
        lines = data.decode("utf-8", errors="replace").splitlines()
        splits |= {line.split()[0]: lists[PurePosixPath(member).name] for line in lines if line and line[0] != "#"}
    if set(splits.values()) != set(lists.values()):
        raise InputError(f"{annotations} lacks trainval.txt or test.txt: remove it, and run again")
    return splits


def _pet_place(member: str, splits: Mapping[str, str], ending: str) -> str | None:
    """Where a photo or mask goes: `<split>/<Breed>/<stem>.<ending>`; None for what neither list names."""
    path = PurePosixPath(member)
    breed = _NUMBERED.fullmatch(path.stem)
    if path.name.startswith(".") or path.suffix.lower() != ending or path.stem not in splits or breed is None:
        return None
    name = " ".join(part.title() for part in breed["breed"].split("_"))
    return f"{splits[path.stem]}/{name}/{path.stem}{ending}"


def _unpack_imagenette(archive: Path) -> Iterator[tuple[str, bytes]]:
    for member, data in iterate_members(archive, keep=lambda name: name.lower().endswith((".jpeg", ".jpg"))):
        *_, split, wnid, name = PurePosixPath(member).parts
        if split in ("train", "val") and wnid in PUBLIC_LISTS["imagenette"].label_by_wnid:
            yield f"{split}/{wnid}/{name}", data


_UNPACK: dict[str, Callable[..., Iterator[tuple[str, bytes]]]] = {
    "oxford_pets": _unpack_pets,
    "imagenette": _unpack_imagenette,
}
