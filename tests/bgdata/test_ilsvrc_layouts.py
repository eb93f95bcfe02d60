"""ImageNet's trees as people have them: the same photos with the same ids, or one sentence that names the file."""

import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.ingest.ilsvrc import ClassFolders, IlsvrcTree, find_tree, list_candidates, parse_annotation, read_solution
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.shards import ImageSet
from tests.conftest import VAL, WNIDS, TinyTree, photo_id, voc_xml

Change = Callable[[TinyTree], object]


def solution(tree: TinyTree) -> Path:
    return tree.root / "LOC_val_solution.csv"


PLACES = {"p": "ILSVRC/Data/CLS-LOC", "x": "ILSVRC/Annotations/CLS-LOC", "a": "masks"}
LABELS, NUMBERS = 3, 2


@pytest.fixture
def listed(tmp_path: Path) -> TinyTree:
    """A tree of empty files, for what opens none of them."""
    tree = TinyTree(tmp_path / "listed")
    rows = ["ImageId,PredictionString"]
    for split in ("train", "val"):
        for label, number in itertools.product(range(LABELS), range(NUMBERS)):
            for make in (tree.photo, tree.annotation, tree.mask):
                path = make(label, number, split)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
            if split == "val":
                rows.append(f"{path.stem},{WNIDS[label]} 1 2 3 4 ")
    solution(tree).write_text("\n".join(rows) + "\n")
    return tree


def each(tree: TinyTree, split: str, *, kinds: str = "pax") -> list[tuple[str, Path]]:
    """The wnid and path of each photo (p), annotation (x) and mask (a) of a split."""
    classes = read_solution(solution(tree))
    paths = [path for kind in kinds for path in (tree.root / PLACES[kind] / split).rglob("*.*")]
    return [(classes.get(path.stem) or path.stem.split("_")[0], path) for path in paths]


def move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)


def val_in_folders(tree: TinyTree, *, kinds: str = "p") -> None:
    for wnid, path in each(tree, "val", kinds=kinds):
        move(path, path.parent / wnid / path.name)


def end_with(ending: str) -> Change:
    return lambda tree: [
        path.rename(path.with_suffix(ending)) for split in ("train", "val") for _, path in each(tree, split, kinds="p")
    ]


def named_by_class(tree: TinyTree) -> None:
    for split in ("train", "val"):
        for wnid, path in each(tree, split, kinds="p"):
            path.rename(path.with_name(f"{path.stem}_{wnid}.JPEG"))


def named_in_folders(tree: TinyTree) -> None:
    for wnid, path in each(tree, "val", kinds="p"):
        move(path, path.parent / wnid / f"{path.stem}_{wnid}.JPEG")


def without_solution(change: Change) -> Change:
    return lambda tree: (change(tree), solution(tree).unlink())


def rewritten(edit: Callable[[str], str], encoding: str = "utf-8") -> Change:
    return lambda tree: solution(tree).write_bytes(edit(solution(tree).read_text()).encode(encoding))


def litter(tree: TinyTree) -> None:
    """What systems and tools leave behind."""
    for split in ("train", "val"):
        for _, path in each(tree, split):
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    folders = {path.parent for split in ("train", "val") for _, path in each(tree, split)}
    for folder in folders:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"")
        for name in ("@eaDir", ".ipynb_checkpoints", "__MACOSX"):
            (folder / name).mkdir()
            (folder / name / f"{WNIDS[0]}_77.JPEG").write_bytes(b"")


LAYOUTS: dict[str, Change] = {
    "val in folders": val_in_folders,
    "all of val in folders": lambda tree: val_in_folders(tree, kinds="pax"),
    "val in folders, no solution": without_solution(val_in_folders),
    "all of val in folders, no solution": without_solution(lambda tree: val_in_folders(tree, kinds="pax")),
    "jpg": end_with(".jpg"),
    "JPG": end_with(".JPG"),
    "jpeg": end_with(".jpeg"),
    "png": end_with(".png"),
    "names of Hugging Face": named_by_class,
    "names of Hugging Face, no solution": without_solution(named_by_class),
    "names and folders": without_solution(named_in_folders),
    "litter": litter,
    "solution with notes in Latin-1": rewritten(lambda text: text + "# caf\xe9\n", "latin-1"),
    "solution with a mark": rewritten("{}".format, "utf-8-sig"),
    "solution with CRLF": rewritten(lambda text: text.replace("\n", "\r\n")),
    "solution with semicolons": rewritten(lambda text: text.replace(",", ";")),
    "solution with endings": rewritten(lambda text: re.sub(r"(val_\d+)", r"\1.JPEG", text)),
    "solution with paths": rewritten(lambda text: re.sub(r"(ILSVRC2012_val_\d+)", r"val/\1.jpg", text)),
    "solution without boxes": rewritten(lambda text: re.sub(r"(,n\d+) .*", r"\1", text)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_photos(listed: TinyTree, layout: str) -> None:
    expected = list_candidates(find_tree(listed.root))
    LAYOUTS[layout](listed)
    found = list_candidates(find_tree(listed.root))
    same = ("id", "split", "wnid", "label", "stem")
    assert [[getattr(one, name) for name in same] for one in found] == [
        [getattr(one, name) for name in same] for one in expected
    ]
    for one in found:
        assert all(path and Path(path).is_file() for path in (one.photo, one.annotation, one.mask))
        assert one.stem in one.photo
        assert Path(one.annotation).stem == Path(one.mask).stem == one.stem


def as_class_folders(tree: TinyTree) -> None:
    for split in ("train", "val"):
        for wnid, path in each(tree, split, kinds="p"):
            move(path, tree.root / split / wnid / path.name)
    (tree.root / "ILSVRC").rename(tree.root.parent / "elsewhere")
    solution(tree).unlink()


def ingest(tree: TinyTree, work: Path, *, require_box: bool = True) -> dict[str, int]:
    settings = IngestSettings(
        filters=FilterSettings(require_box=require_box, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0.05,
        photos_per_shard=100,
    )
    found = find_tree(tree.root)
    return ingest_photos(found, list_candidates(found), work, settings=settings, seed=0, workers=1)["rejected"]


def test_folders_of_classes_are_photos_without_boxes(tiny_tree: TinyTree, tmp_path: Path) -> None:
    as_class_folders(tiny_tree)
    assert isinstance(find_tree(tiny_tree.root), ClassFolders)
    words = r"left out: no_annotation 4\).* set ingest.filters.require_box to false, and segment.method to one that"
    with pytest.raises(InputError, match=words):
        ingest(tiny_tree, tmp_path / "boxed")
    assert ingest(tiny_tree, tmp_path / "work", require_box=False) == {}
    with ImageSet(tmp_path / "work/photos") as photos, ImageSet(tmp_path / "work/given_masks") as masks:
        assert {row.id for row in photos.rows} == {row.id for row in masks.rows}
        assert {row.id for row in photos.split("val")} == {photo_id(c, n, "val") for c in range(9) for n in range(VAL)}
        assert photos.rows[0].extra["source"] == f"train/{WNIDS[8]}/{WNIDS[8]}_1.JPEG"


@pytest.mark.parametrize("below", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
def test_any_folder_of_a_tree_may_be_named(shared_tree: TinyTree, below: str) -> None:
    assert find_tree(shared_tree.root / below) == find_tree(shared_tree.root)
    assert isinstance(find_tree(shared_tree.root), IlsvrcTree)


def test_a_folder_beside_the_photos_is_no_tree(shared_tree: TinyTree) -> None:
    with pytest.raises(InputError, match=r"expected the ILSVRC tree in .*Annotations, but neither"):
        find_tree(shared_tree.root / "ILSVRC/Annotations")


def first(tree: TinyTree) -> Path:
    return tree.photo(0, 0, "val")


REFUSED: dict[str, tuple[Change, str]] = {
    "no solution": (
        lambda tree: solution(tree).unlink(),
        r"expected LOC_val_solution.csv .*, or folders",
    ),
    "a short solution": (
        rewritten(lambda text: "\n".join(text.splitlines()[:4])),
        r"3 of 6 photos in .*val have no class, as .*ILSVRC2012_val_\d+.JPEG: neither a wnid's folder nor .*solution",
    ),
    "a cut solution": (
        rewritten(lambda text: "\n".join(text.splitlines()[:4]) + "\nILSVRC2012_val_0000"),
        r"solution.csv:5: expected 2 cells",
    ),
    "a solution of numbers": (
        rewritten(lambda text: re.sub(r",n\d+", ",123", text)),
        r"solution.csv: ILSVRC2012_val_\d+ is of the class '123', expected a wnid as n02106550",
    ),
    "another class's folder": (
        lambda tree: move(first(tree), first(tree).parent / WNIDS[1] / first(tree).name),
        rf"val_00000001.JPEG is of two classes, .*{WNIDS[0]}.*, by its folder, its name or LOC_val_solution.csv",
    ),
    "another class's name": (
        lambda tree: first(tree).rename(first(tree).with_name(f"{first(tree).stem}_{WNIDS[1]}.JPEG")),
        r"is of two classes",
    ),
    "a photo twice": (
        lambda tree: first(tree).with_suffix(".jpg").write_bytes(b""),
        r"two photos have the id n\d+_00000001: .*JPEG and .*jpg; rename or remove one",
    ),
    "a photo without a class in train": (
        lambda tree: (tree.photo(0, 0).parent.parent / "cover.jpg").write_bytes(b""),
        r"1 of 7 photos in .*train have no class, as .*cover.jpg",
    ),
    "a name that is not UTF-8": (
        lambda tree: Path(os.fsdecode(os.fsencode(tree.photo(0, 0).parent / WNIDS[0]) + b"_\xe9.jpg")).write_bytes(b""),
        r"the name of b'.*_\\xe9.jpg' is not UTF-8: rename the file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_told_is_one_sentence(listed: TinyTree, case: str) -> None:
    change, words = REFUSED[case]
    change(listed)
    with pytest.raises(InputError, match=words) as caught:
        list_candidates(find_tree(listed.root))
    assert "\n" not in str(caught.value)


def test_folders_by_other_names_are_told(tmp_path: Path) -> None:
    (tmp_path / "train/dog").mkdir(parents=True)
    (tmp_path / "train/dog/1.jpg").write_bytes(b"")
    (tmp_path / "val/n07747607").mkdir(parents=True)
    (tmp_path / "val/n07747607/ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nILSVRC2012_val_00000001,n07747607 \n")
    with pytest.raises(InputError, match=r"expected photos of the 370 synsets .* found none: name the folders"):
        list_candidates(find_tree(tmp_path))


def test_what_is_not_there_is_counted(tiny_tree: TinyTree, tmp_path: Path) -> None:
    dangling, folder, mask, annotation = (
        tiny_tree.photo(0, 0),
        tiny_tree.photo(1, 0),
        tiny_tree.mask(2, 0),
        tiny_tree.annotation(3, 0),
    )
    for path in (dangling, folder, mask, annotation):
        path.unlink()
    for path in (dangling, mask, annotation):
        path.symlink_to("/nowhere/at/all")
    folder.mkdir()
    assert ingest(tiny_tree, tmp_path / "work") == {"no_photo": 2, "unreadable_annotation": 1}
    with ImageSet(tmp_path / "work/photos") as photos, ImageSet(tmp_path / "work/given_masks") as masks:
        assert {row.id for row in photos.rows} - {row.id for row in masks.rows} == {photo_id(2, 0)}


def test_a_folder_without_permission_is_counted_or_told(listed: TinyTree, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = listed.photo(0, 0).parent
    scan = os.scandir

    def scan_or_refuse(folder: Path) -> object:
        return _refuse(folder) if Path(folder) == closed else scan(folder)

    monkeypatch.setattr("bgdata.ingest.candidates.os.scandir", scan_or_refuse)
    lost = [one for one in list_candidates(find_tree(listed.root)) if one.photo is None]
    assert [one.id for one in lost] == [photo_id(0, number) for number in range(NUMBERS)]
    for number in range(NUMBERS):
        listed.annotation(0, number).unlink()
    with pytest.raises(InputError, match=rf"the folder .*{WNIDS[0]} cannot be read \(no permission\): change its"):
        list_candidates(find_tree(listed.root))
    closed = listed.annotation(1, 0).parent
    with pytest.raises(InputError, match=rf"the folder .*Annotations.*{WNIDS[1]} cannot be read"):
        list_candidates(find_tree(listed.root))


def _refuse(folder: Path) -> NoReturn:
    raise PermissionError(13, "no permission", str(folder))


# Annotations

XML = voc_xml([Box(1, 2, 30, 40)], (50, 60))
NAMED_XML = XML.replace("<size>", "<name>caf\xe9</name><size>")


@pytest.mark.parametrize(
    "data",
    [
        XML.encode("utf-16"),
        b"\xef\xbb\xbf" + XML.encode(),
        b'<?xml version="1.0" encoding="latin-1"?>' + NAMED_XML.encode("latin-1"),
        XML.replace(">1<", "> 1.7\n<").replace(">50<", ">50.0<").encode(),
        b"<!DOCTYPE annotation>" + XML.encode(),
    ],
)
def test_annotations_are_read_in_any_coding(data: bytes) -> None:
    assert parse_annotation(data) == ((50, 60), [Box(1, 2, 30, 40)])


ENTITIES = '<!DOCTYPE a [<!ENTITY a "1"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        NAMED_XML.encode("latin-1"),
        (ENTITIES + XML.replace(">1<", ">&a;<")).encode(),
        (ENTITIES + XML).encode("utf-16"),
        b'<?xml version="1.0" encoding="no-such"?>' + XML.encode(),
        *(XML.replace(">30<", f">{number}<").encode() for number in ("nan", "inf", "-inf", "1e400", "1e300", "", "x")),
        XML.replace("<width>60</width>", "").encode(),
    ],
)
def test_what_is_no_annotation_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an annotation: "):
        parse_annotation(data)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (Box(200, 180, 100, 80), "box_outside_crop"),
        (Box(100, 80, 100, 180), "box_outside_crop"),
        (Box(-999_999, -999_999, 999_999, 999_999), "box_too_large"),
        (Box(900, 900, 950, 950), "box_outside_crop"),
    ],
)
def test_odd_boxes_are_counted(tiny_tree: TinyTree, tmp_path: Path, box: Box, reason: str) -> None:
    tiny_tree.annotate(0, 0, [box])
    assert ingest(tiny_tree, tmp_path / "work") == {reason: 1}


def test_a_solution_is_read_by_stems(tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    path.write_text("PredictionString;ImageId\nn02106550 1 2 3 4 ;b/ILSVRC2012_val_00000007_n02106550.JPEG\n")
    assert read_solution(path) == {"ILSVRC2012_val_00000007": "n02106550"}
