"""Where the masks of PASCAL VOC 2012 and of ADE20K's public release lie, and what their indices mean."""

from collections.abc import Mapping
from pathlib import Path

from bgdata.errors import InputError
from bgdata.hidden import is_hidden
from bgdata.segmentation_sets.base import read_names
from bgdata.segmentation_sets.places import Places
from bgdata.segmentation_sets.unusable import Unusable, check_unusable
from bgdata.segmentation_sets.voc import PHOTO_ENDINGS, find_voc, voc_categories
from bgdata.text import read_table
from bgdata.transfer_sets.base import BACKGROUND, VOID
from bgdata.transfer_sets.coco import LIMIT
from bgdata.transfer_sets.semantic import MaskedPhotos, Pair

_ADE = "ADEChallengeData2016"
_ADE_FOLDER = {"train": "training", "val": "validation"}
_ADE_CLASSES = "objectInfo150.txt"


def open_voc(root: Path, *, split: str, max_unusable: float = 0.0) -> MaskedPhotos:
    """PASCAL VOC 2012's photos of `ImageSets/Segmentation/<split>.txt` with their class masks: `background` and the
    categories; 255 is void. See `bgdata.segmentation_sets.voc.VocSet` for where `root` is.

    Raises InputError where the lists are missing, and as `MaskedPhotos` does.
    """
    home = find_voc(root, split)
    named = voc_categories(home)
    photos, masks = (Places((home / folder,)) for folder in ("JPEGImages", "SegmentationClass"))
    stems = dict.fromkeys(read_names(home / "ImageSets" / "Segmentation" / f"{split}.txt"))
    found = {stem: (photos.find(stem, PHOTO_ENDINGS), masks.find(stem, (".png",))) for stem in stems}
    pairs, unusable = _whole_pairs(found, root=home, max_unusable=max_unusable)
    return MaskedPhotos(
        home,
        pairs,
        name="voc",
        split=split,
        categories=(BACKGROUND, *named.values()),
        labels={0: 0, VOID: VOID} | {index: label for label, index in enumerate(named, start=1)},
        unusable=unusable,
    )


def open_ade20k(root: Path, *, split: str, max_unusable: float = 0.0) -> MaskedPhotos:
    """ADE20K's public release for scene parsing: 150 classes, 0 in the masks is void. `root` is ADEChallengeData2016 or
    the folder above it.

    Source: the masks' meaning is the release's own (sceneparsing.csail.mit.edu).

    Raises InputError where the folder is of another layout, and as `MaskedPhotos` does.
    """
    home = root / _ADE if (root / _ADE).is_dir() else root
    folder = _ADE_FOLDER[split]
    photos, masks = home / "images" / folder, home / "annotations" / folder
    if not (photos.is_dir() and masks.is_dir() and (home / _ADE_CLASSES).is_file()):
        raise InputError(
            f"{root} is not ADE20K's public release: expected {_ADE}/ with images/{folder}, annotations/{folder} and "
            f"{_ADE_CLASSES}, as {_ADE}.zip unpacks (the full release and other layouts are not read)"
        )
    categories = _ade_categories(home / _ADE_CLASSES)
    of_stem = [_by_stem(photos, ".jpg"), _by_stem(masks, ".png")]
    found = {stem: (of_stem[0].get(stem), of_stem[1].get(stem)) for stem in sorted({*of_stem[0], *of_stem[1]})}
    pairs, unusable = _whole_pairs(found, root=home, max_unusable=max_unusable)
    return MaskedPhotos(
        home,
        pairs,
        name="ade20k",
        split=split,
        categories=categories,
        labels={0: VOID} | {index: index - 1 for index in range(1, len(categories) + 1)},
        unusable=unusable,
    )


def _ade_categories(path: Path) -> tuple[str, ...]:
    """The classes' names in the order of their indices, which count from 1."""
    rows = read_table(path, ("Idx", "Name"))
    names = tuple(row["Name"].strip() for row in rows)
    if [row["Idx"].strip() for row in rows] != [str(index) for index in range(1, len(rows) + 1)] or not all(names):
        raise InputError(f"{path} does not number its classes 1, 2, 3 ..., each with a name: fetch the set again")
    if len(rows) >= VOID:
        raise InputError(f"{path} has {len(rows)} classes, expected {VOID - 1} at most: fetch the set again")
    return names


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    return {path.stem: path for path in folder.glob(f"*{ending}") if not is_hidden(path.name)}


def _whole_pairs(
    found: Mapping[str, tuple[Path | None, Path | None]], *, root: Path, max_unusable: float
) -> tuple[dict[str, Pair], list[Unusable]]:
    """The photos that have both files, and those that lack one.

    Raises InputError where more than the share `max_unusable` does.
    """
    pairs, unusable = {}, []
    for stem, (photo, mask) in found.items():
        if photo is not None and mask is not None:
            pairs[stem] = Pair(photo, mask)
        else:
            what = "photo" if photo is None else "mask"
            unusable.append(Unusable(f"photo {stem}", f"missing_{what}", f"its {what} is missing"))
    check_unusable(unusable, total=len(found), limit=max_unusable, where=root, setting=LIMIT)
    return pairs, unusable
