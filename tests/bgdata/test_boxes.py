"""The official boxes: put beside the photos that are there, from archives of the same form."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from bgdata.fetch.boxes import SOURCE, fetch_boxes
from bgdata.fetch.sources import SOURCES
from bgdata.ingest.ilsvrc import IlsvrcTree, find_tree, list_candidates
from tests.conftest import TRAIN, VAL, WNIDS, TinyTree, voc_xml


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))


@pytest.fixture(autouse=True)
def _archives_of_any_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher's hashes are those of its archives."""
    any_bytes = tuple(replace(remote, size=None, md5=None, sha256=None) for remote in SOURCES[SOURCE])
    monkeypatch.setitem(SOURCES, SOURCE, any_bytes)


def pack(tree: TinyTree, mirror: Path, *, prefix: str = "") -> dict[str, bytes]:
    """Move the tree's annotations into the two archives, among others of photos that are not there."""
    mirror.mkdir()
    folder = tree.root / "ILSVRC/Annotations/CLS-LOC"
    boxes = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.xml")}
    other = voc_xml([], (5, 5)).encode()
    train, val = SOURCES[SOURCE]
    in_train = {f"{prefix}{name[6:]}": data for name, data in boxes.items() if name.startswith("train/")}
    in_train |= {f"{prefix}{WNIDS[0]}/{WNIDS[0]}_999.xml": other, f"{prefix}n07747607/n07747607_1.xml": other}
    write_archive(mirror / train.name, in_train)
    in_val = {f"{prefix}{name}": data for name, data in boxes.items() if name.startswith("val/")}
    write_archive(mirror / val.name, in_val | {f"{prefix}val/ILSVRC2012_val_00049999.xml": other})
    for path in folder.rglob("*.xml"):
        path.unlink()
    return boxes


@pytest.mark.parametrize("prefix", ["", "./", "Annotation/", "ILSVRC2012/bbox/"])
def test_each_photo_gets_its_box_and_nothing_else_is_written(tiny_tree: TinyTree, tmp_path: Path, prefix: str) -> None:
    boxes = pack(tiny_tree, tmp_path / "mirror", prefix=prefix)
    tree = find_tree(tiny_tree.root)
    written = fetch_boxes(tree, downloads=tmp_path / "down", mirror=(tmp_path / "mirror").as_uri())
    assert written == len(boxes) == 9 * (TRAIN + VAL)
    found = {
        path.relative_to(tree.annotations).as_posix(): path.read_bytes() for path in tree.annotations.rglob("*.xml")
    }
    assert found == boxes
    assert all(one.annotation for one in list_candidates(tree))


def test_a_photo_that_nobody_annotated_stays_without(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tiny_tree.annotation(2, 1).unlink()
    boxes = pack(tiny_tree, tmp_path / "mirror")
    tree = find_tree(tiny_tree.root)
    for _ in range(2):  # a second run changes nothing
        assert fetch_boxes(tree, downloads=tmp_path / "down", mirror=(tmp_path / "mirror").as_uri()) == len(boxes)
    without = [one.id for one in list_candidates(tree) if one.annotation is None]
    assert without == [f"{WNIDS[2]}_2"]


def test_a_tree_without_photos_gets_no_boxes(tiny_tree: TinyTree, tmp_path: Path) -> None:
    pack(tiny_tree, tmp_path / "mirror")
    tree = IlsvrcTree(home=tmp_path / "empty", solution=tmp_path / "none.csv", masks=None)
    assert fetch_boxes(tree, downloads=tmp_path / "down", mirror=(tmp_path / "mirror").as_uri()) == 0
    assert not tree.annotations.exists()
