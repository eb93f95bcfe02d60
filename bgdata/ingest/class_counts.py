"""Whether each class has photos enough in each split, and what to do where one has not."""

from collections import Counter
from collections.abc import Sequence

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.ingest.candidates import PhotoTree
from bgdata.ingest.filters import Found
from bgdata.ingest.folder import is_drawn
from bgdata.ingest.settings import PerClass
from bgdata.shards import SPLITS

_LEAST = 2
_NAMED = 5


def check_class_counts(
    found: Sequence[Found], reasons: Sequence[str | None], counts: Counter[tuple[str, int]], tree: PhotoTree
) -> None:
    """Raise InputError where a class has fewer than two photos in a split.

    A split of which nothing is listed stays empty, unless splits are drawn. `counts` are of the photos that stay, by
    split and label; `reasons` say why the others do not.
    """
    listed = {candidate.split for candidate, _ in found}
    splits = [split for split in SPLITS if split in listed or is_drawn(tree)] or SPLITS
    folders = tree.classes.folders
    short = [(split, label) for split in splits for label in range(len(folders)) if counts[split, label] < _LEAST]
    if not short:
        return
    split, label = short[0]
    of_class = [
        reason
        for (candidate, _), reason in zip(found, reasons, strict=True)
        if (candidate.split, candidate.label) == (split, label)
    ]
    words = ", ".join(f"{reason} {number}" for reason, number in Counter(filter(None, of_class)).most_common())
    others = ", ".join(f"{folders[label]} in {split}" for split, label in short[1 : 1 + _NAMED])
    more = f"; too few also: {others}{' ...' if len(short) > 1 + _NAMED else ''}" if others else ""
    raise InputError(
        f"class {folders[label]} has {'a single photo' if None in of_class else 'no photo'} in {split} of "
        f"{len(of_class)} listed (left out: {words or 'none'}): mixed_same needs a background of another photo of its "
        f"class, so at least {_LEAST}; {_remedy(of_class, split, tree)}{more}"
    )


def _remedy(reasons: Sequence[str | None], split: str, tree: PhotoTree) -> str:
    if "no_annotation" in reasons:
        return (
            "add ImageNet's XML files, or set ingest.filters.require_box to false, and segment.method to one that "
            "needs no box (given, grounded_sam, sam3, unet)"
        )
    if any(reasons):
        return "add photos, or loosen ingest.filters"
    if is_drawn(tree):
        return f"add photos, or {'raise' if split == 'val' else 'lower'} ingest.val_share"
    return "add photos of it, or take it out of the list of classes"


def short_classes(
    counts: Counter[tuple[str, int]], per_class: PerClass, classes: ClassList
) -> dict[str, dict[str, int]]:
    """The classes that have fewer photos than `per_class` asks for, with how many they have."""
    limits = {"train": per_class.train or 0, "val": per_class.val or 0}
    short = {
        split: {
            folder: counts[split, label] for label, folder in enumerate(classes.folders) if counts[split, label] < limit
        }
        for split, limit in limits.items()
    }
    return {split: classes for split, classes in short.items() if classes}
