"""The class of each background of a set: its photo's own, or, of photos without objects, what its index says."""

from collections.abc import Sequence

from bgdata.classes import ClassList, read_class_list
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST, Row

# In the manifest of a set of photos without objects, whose own list has one class: the list that the cells
# `background_label` are of.
NOTE = "background_classes"


def background_class_list(images: ImageSource) -> ClassList:
    """The list of classes that a set's backgrounds are of."""
    if NOTE not in images.manifest:
        return images.classes
    return read_class_list(images.manifest[NOTE], where=str(images.folder / MANIFEST))


def background_labels(images: ImageSource, rows: Sequence[Row]) -> list[int | None]:
    """The label of each background in that list; None where nobody knows it."""
    if NOTE not in images.manifest:
        return [row.label for row in rows]
    return [int(row.extra["background_label"]) if row.extra.get("background_label") else None for row in rows]
