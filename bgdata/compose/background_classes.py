"""The class of each background of a set: its photo's own, or, of photos without objects, what its index says."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from bgdata.classes import ClassList, read_class_list
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST, Row

# In the manifest of a set of photos without objects, whose own list has one class: the list that its cells
# `background_label` are of.
NOTE = "background_classes"
# The label of a background whose class nobody knows.
UNKNOWN = -1


def class_list_of(images: ImageSource) -> ClassList:
    """The list of classes that a set's images are of; of photos without objects the one that their backgrounds are of.

    Raises InputError where the manifest holds a broken one.
    """
    if NOTE not in images.manifest:
        return images.classes
    return read_class_list(images.manifest[NOTE], where=str(images.folder / MANIFEST))


def labels_of_backgrounds(images: ImageSource, rows: Sequence[Row]) -> Int64[np.ndarray, " n"]:
    """The label of each background in that list, or UNKNOWN."""
    own_list = NOTE not in images.manifest
    return np.array(
        [row.label if own_list else int(row.extra["background_label"] or UNKNOWN) for row in rows], np.int64
    )
