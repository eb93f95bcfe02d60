"""Weights that a training begins with: whose classes they are of."""

from pathlib import Path

from bgdata.classes import ClassList, check_same, read_class_list
from models.weights.states import read_content

# What checkpoints of ours hold, and those of other programs do not all.
_OURS = frozenset({"state_dict", "arch", "input_size", "classes", "recipe", "seed"})


def check_start(path: Path, classes: ClassList) -> None:
    """Refuse a checkpoint of ours whose head would be kept for other classes than its own.

    One with another number of classes gets a new head, and other programs' files know no list: they may begin anything.

    Raises InputError that names both lists.
    """
    content = read_content(path)
    if not isinstance(content, dict) or not content.keys() >= _OURS or content["classes"] != len(classes):
        return
    check_same({str(path): read_class_list(content.get("class_list"), where=str(path)), "params.yaml": classes})
