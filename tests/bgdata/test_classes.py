"""Lists of classes: as they stand in files, as people give them, and where two are not the same."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgdata.class_files import folder_class_list, read_class_csv
from bgdata.classes import ClassList, check_same, plain_class_list, read_class_list
from bgdata.errors import InputError
from bgdata.labels import CLASS_FOLDERS, IN9, in9_label_by_wnid

TENCH, COBRA, BASSET, BEAGLE = "n01440764", "n01748264", "n02088238", "n02088364"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["class,wnid", *lines]))
    return path


def test_imagenet_9_is_a_list() -> None:
    assert IN9.folders == CLASS_FOLDERS
    assert IN9.label_by_wnid == in9_label_by_wnid()
    assert IN9.member_name(2, "n1_3") == "02_wheeled vehicle/n1_3.JPEG"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True))
def test_a_record_gives_its_list_back(names: list[str]) -> None:
    classes = ClassList(
        "some", tuple(names), tuple(((f"n{label:08d}",) if label % 2 else ()) for label in range(len(names)))
    )
    back = read_class_list(json.loads(json.dumps(classes.to_record())), where="here")
    assert back == classes
    assert back.same_as(classes)
    assert len(set(back.folders)) == len(names)
    assert sorted(back.folders) == list(back.folders)


def test_files_from_before_there_were_lists_are_imagenet_9s() -> None:
    assert read_class_list(None, where="old") is IN9


@pytest.mark.parametrize(
    "record",
    [
        {},
        [],
        3,
        {"name": "x", "names": ["a"], "wnids": []},
        {"name": "x", "names": ["a", "a"], "wnids": ["", ""]},
        {"name": "x", "names": [1], "wnids": [""]},
        {"name": "x", "names": [], "wnids": []},
    ],
)
def test_a_broken_record_is_a_sentence(record: object) -> None:
    with pytest.raises(InputError, match=r"model\.pt holds a broken list of classes"):
        read_class_list(record, where="model.pt")


def test_lists_are_the_same_by_their_content_not_by_their_name() -> None:
    one, twin = plain_class_list("a", ["x", "y"]), plain_class_list("b", ["x", "y"])
    assert check_same({"one": one, "two": twin}) is one
    assert one.digest == twin.digest
    for other in (plain_class_list("a", ["y", "x"]), plain_class_list("a", ["x", "y", "z"]), IN9):
        assert other.digest != one.digest
        with pytest.raises(InputError, match=r"one has the classes a \(2 classes: x, y\), but two has .*same list"):
            check_same({"one": one, "two": other})


def test_a_csv_groups_wnids_in_its_own_order(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", f"hound,{BEAGLE}", f"Fisch ö,{TENCH}", f"hound,{BASSET}")
    classes = read_class_csv(path)
    assert classes.name == "mine"
    assert classes.names == ("hound", "Fisch ö")
    assert classes.wnids == ((BASSET, BEAGLE), (TENCH,))
    assert classes.label_by_wnid == {BASSET: 0, BEAGLE: 0, TENCH: 1}


def test_all_mistakes_of_a_csv_are_named_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "bad.csv", f"dog,{BEAGLE}", f"Dog,{BASSET}", f"fish,{BEAGLE}", "cat,n99999999", f"a/b,{TENCH}",
        f",{COBRA}",
    )  # fmt: skip
    with pytest.raises(InputError, match=r"the classes of \S+bad\.csv have 5 mistakes") as caught:
        read_class_csv(path)
    said = str(caught.value)
    for words in (
        "'dog' and 'Dog' differ in case",
        f"{BEAGLE} is in two classes, 'dog' and 'fish'",
        "'n99999999', which is none of ImageNet's 1,000",
        "'a/b' cannot be a folder",
        "'' cannot be a folder: it is empty",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("lines", "count"), [((), 0), ((f"dog,{BEAGLE}",), 1), ((f"dog,{BEAGLE}", f"dog,{BASSET}"), 1)]
)
def test_fewer_than_two_classes_are_refused(lines: tuple[str, ...], count: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"it has {count} class(es)?, expected 2 to 1000"):
        read_class_csv(write(tmp_path / "few.csv", *lines))


def test_folders_are_sorted_and_those_named_by_wnids_have_them(tmp_path: Path) -> None:
    classes = folder_class_list([TENCH, "zebra crossing", "Äpfel"], where=tmp_path)
    assert classes.names == (TENCH, "zebra crossing", "Äpfel")
    assert classes.wnids == ((TENCH,), (), ())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (" cat", "blank"),
        ("cat.", "dot"),
        (".cat", "dot"),
        ("c\tt", "printed"),
        ("c:t", "printed"),
        ("ä" * 51, "102 bytes"),
    ],
)
def test_names_that_cannot_be_folders_are_named(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=reason):
        folder_class_list(["dog", name], where=tmp_path)
