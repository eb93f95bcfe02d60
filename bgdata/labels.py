"""The nine superclasses of ImageNet-9 and where each ImageNet class belongs.

Source: Xiao et al., "Noise or Signal: The Role of Image Backgrounds in Object Recognition" (ICLR 2021), section 2
and the mapping of its release; the table `imagenet_to_in9.csv` lists the 1,000 classes in ImageNet's order (sorted
wnids).
"""

import csv
from functools import cache
from importlib.resources import files

from bgdata.classes import ClassList

# Order is the paper's: `mixed_next` takes the background of class (label + 1) mod 9.
CLASS_NAMES = (
    "dog",
    "bird",
    "wheeled vehicle",
    "reptile",
    "carnivore",
    "insect",
    "musical instrument",
    "primate",
    "fish",
)
CLASS_COUNT = len(CLASS_NAMES)
CLASS_FOLDERS = tuple(f"{label:02d}_{name}" for label, name in enumerate(CLASS_NAMES))


@cache
def _table() -> tuple[tuple[str, int | None], ...]:
    text = files("bgdata").joinpath("imagenet_to_in9.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return tuple((row["wnid"], int(row["in9_label"]) if row["in9_label"] else None) for row in rows)


@cache
def in9_label_by_wnid() -> dict[str, int]:
    """The IN-9 label (0 to 8) of each of the 370 wnids that belong to a superclass."""
    return {wnid: label for wnid, label in _table() if label is not None}


def in9_label_by_imagenet_index() -> list[int | None]:
    """The IN-9 label of each of the 1,000 ImageNet classes; None for the 630 outside the nine."""
    return [label for _, label in _table()]


def _in9() -> ClassList:
    members: dict[int, list[str]] = {label: [] for label in range(CLASS_COUNT)}
    for wnid, label in in9_label_by_wnid().items():
        members[label].append(wnid)
    return ClassList("in9", CLASS_NAMES, tuple(tuple(sorted(members[label])) for label in range(CLASS_COUNT)))


# The default list of classes.
IN9 = _in9()
