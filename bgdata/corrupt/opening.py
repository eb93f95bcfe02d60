"""Photos under corruptions from wherever a person has them: what a folder is, is told by what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bgdata.classes import ClassList
from bgdata.corrupt.class_folders import ClassFolders
from bgdata.corrupt.corruptions import Corruption
from bgdata.corrupt.data import CorruptedData
from bgdata.corrupt.live import LiveCorruptions
from bgdata.corrupt.published import PublishedCorruptions
from bgdata.corrupt.stored import StoredCorruptions, check_made_of, read_corrupted_manifest, settings_of
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST, ImageSet


def open_corrupted(
    folder: Path,
    *,
    originals: ImageSource | None,
    masks: ImageSource | None = None,
    classes: ClassList | None = None,
    cache: Path | None = None,
    workers: int,
) -> CorruptedData:
    """The corrupted photos of a folder: ours (of the `corrupt` stage, stored or to be made now), or published ones.

    `originals` are the photos as they were, and `masks` theirs: needed where ours are to be made, else for the
    accuracy on clean photos alone. `classes` are those that published photos are judged by (None: their own class
    folders, of ImageNet-C its thousand); ours name theirs. `cache` is where photos are decoded to (`LiveCorruptions`).

    Raises InputError where the folder is neither, or was made from other photos.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give corrupted sets of ours, or <corruption>/<severity>/<class>/")
    if not (folder / MANIFEST).is_file():
        return PublishedCorruptions(folder, classes, originals, workers=workers)
    manifest = read_corrupted_manifest(folder)
    if manifest["stored"]:
        return StoredCorruptions(folder, originals, workers=workers)
    if originals is None:
        raise InputError(
            f"{folder} holds no images (corruptions.store is false), they are made from the originals: give those too"
        )
    settings = settings_of(manifest, folder)
    check_made_of(manifest, "originals", originals, folder=folder)
    check_made_of(manifest, "masks", masks if settings.need_masks else None, folder=folder)
    return LiveCorruptions(originals, masks, settings, seed=manifest["seed"], workers=workers, cache=cache)


def open_photos(folder: Path, classes: ClassList | None) -> ImageSource:
    """Clean photos beside corrupted ones: a set of ours, or class folders (an ImageFolder) of `classes`.

    Raises InputError where the folder is neither.
    """
    if (folder / MANIFEST).is_file():
        return ImageSet(folder)
    return ClassFolders(folder, classes)


@dataclass(frozen=True)
class Choice:
    """Which corruptions are asked for; None: all that are there."""

    names: Sequence[str] | None = None
    severities: Sequence[int] | None = None
    regions: Sequence[str] | None = None


def choose_corruptions(data: CorruptedData, choice: Choice, *, where: Path) -> list[Corruption]:
    """The corruptions of `data` that are asked for, by region, then name, then severity.

    Raises InputError where one of them is not there: also, where nothing is asked for, a severity that other
    corruptions have.
    """
    names = choice.names or dict.fromkeys(one.name for one in data.corruptions)
    severities = choice.severities or sorted({one.severity for one in data.corruptions})
    regions = choice.regions or dict.fromkeys(one.region for one in data.corruptions)
    asked = [Corruption(name, severity, region) for region, name, severity in product(regions, names, severities)]
    missing = [one.folder for one in asked if one not in data.corruptions]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"{where} has no {', '.join(missing[:5])}{more} (<region>/<corruption>/<severity>): make or unpack it "
            "again, or name the corruptions, severities and regions that it has"
        )
    return asked
