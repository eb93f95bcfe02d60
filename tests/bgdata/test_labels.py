"""The table of superclasses against the paper's counts."""

import csv
import re
from collections import Counter
from importlib.resources import files

from bgdata.labels import CLASS_COUNT, CLASS_FOLDERS, in9_label_by_imagenet_index, in9_label_by_wnid

# Source: Xiao et al., the ImageNet classes of each superclass, dog first.
WNID_COUNTS = (116, 52, 42, 36, 35, 27, 26, 20, 16)
FOLDERS = (
    "00_dog",
    "01_bird",
    "02_wheeled vehicle",
    "03_reptile",
    "04_carnivore",
    "05_insect",
    "06_musical instrument",
    "07_primate",
    "08_fish",
)


def wnids() -> list[str]:
    """The table's wnids, in its order."""
    text = files("bgdata").joinpath("imagenet_to_in9.csv").read_text()
    return [row["wnid"] for row in csv.DictReader(text.splitlines())]


def test_each_superclass_has_the_papers_number_of_classes() -> None:
    counts = Counter(in9_label_by_wnid().values())
    assert tuple(counts[label] for label in range(CLASS_COUNT)) == WNID_COUNTS
    assert len(in9_label_by_wnid()) == sum(WNID_COUNTS) == 370


def test_the_other_630_classes_have_no_label() -> None:
    labels = in9_label_by_imagenet_index()
    assert len(labels) == 1000
    assert labels.count(None) == 630


def test_folders_are_named_as_in_the_release() -> None:
    assert CLASS_FOLDERS == FOLDERS


def test_wnids_are_sorted_and_unique() -> None:
    assert len(wnids()) == 1000
    assert wnids() == sorted(set(wnids()))
    assert all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids())


def test_index_and_wnid_tell_the_same_label() -> None:
    labels = in9_label_by_wnid()
    assert in9_label_by_imagenet_index() == [labels.get(wnid) for wnid in wnids()]


def test_known_classes() -> None:
    labels = in9_label_by_wnid()
    assert labels["n02085936"] == 0  # Maltese dog
    assert labels["n01440764"] == 8  # tench
    assert in9_label_by_imagenet_index()[0] == 8
    assert "n03764736" not in labels  # milk can
