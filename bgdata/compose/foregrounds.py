"""The photos whose foregrounds a further source of backgrounds is for, and whether it has enough of each class."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgdata.classes import ClassList, check_same
from bgdata.compose.crops import Crops, crop_photos
from bgdata.compose.render import Chosen, PlannedPhoto
from bgdata.errors import InputError
from bgdata.geometry import CentreCrop
from bgdata.shards import ImageSet, Row


@dataclass(frozen=True)
class Inputs:
    """The sets that a source is made from: photos, their masks, and `original`, which says which photos render kept."""

    photos: Path
    masks: Path
    originals: Path


@dataclass(frozen=True)
class Foregrounds:
    """The photos of `original` in some splits, cropped: rows, crops in their order, and where these lie."""

    rows: list[Row]
    crops: Crops
    folder: Path
    classes: ClassList

    def planned(self, position: int, backgrounds: dict[str, Chosen]) -> PlannedPhoto:
        """The photo at a position, to be put on these backgrounds (by mixed variant)."""
        box = self.crops.boxes[position]
        assert box is not None, "render kept it"
        return PlannedPhoto(self.rows[position], position, box, backgrounds)


def foreground_rows(originals: Path, splits: Sequence[str]) -> tuple[list[Row], ClassList]:
    """The photos that give the foregrounds, in the order in which render drew backgrounds, and their classes.

    Raises InputError where a split has none.
    """
    with ImageSet(originals) as images:
        for split in splits:
            if not images.split(split):
                raise InputError(f"{originals} has no photo of the split {split}: take it out of the source's `splits`")
        return [row for row in images.rows if row.split in splits], images.classes


def open_foregrounds(
    inputs: Inputs, *, splits: Sequence[str], crop: CentreCrop, folder: Path, workers: int
) -> Foregrounds:
    """Crop the photos of `original` in these splits into `folder`; see `foreground_rows`.

    Raises InputError where the sets differ in their classes.
    """
    kept, classes = foreground_rows(inputs.originals, splits)
    with ImageSet(inputs.photos, rows=()) as photos:
        check_same({str(inputs.originals): classes, str(inputs.photos): photos.classes})
    ids = [row.id for row in kept]
    rows, crops = crop_photos(inputs.photos, inputs.masks, crop=crop, work=folder, workers=workers, ids=ids)
    return Foregrounds(rows, crops, folder, classes)


def check_pools(
    foregrounds: Sequence[Row],
    classes: ClassList,
    pools: Sequence[tuple[str, int]],
    *,
    least: int,
    advice: Callable[[str, int], str],
) -> None:
    """Raise InputError where a class has fewer than `least` backgrounds in a split (`pools`: split and label of each).

    The classes that count are those of the foregrounds, and the next of each. `advice` is what to do (split, label).
    """
    counts, own = Counter(pools), {(row.split, row.label) for row in foregrounds}
    following = {(split, (label + 1) % len(classes)) for split, label in own}
    for split, label in sorted(own | following):
        if (count := counts[split, label]) < least:
            raise InputError(
                f"class {classes.folders[label]} has {count or 'no'} usable background{'s' * (count != 1)} in {split}, "
                f"expected at least {least}: {advice(split, label)}"
            )
