"""Sets of shards: what was written is read back, the bytes are those of the members, a kill loses little."""

import csv
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import (
    ImageSet,
    Row,
    ShardWriter,
    _tar_header,
    corrupt_files,
    finish_set,
    shard_is_written,
    shard_name,
    write_csv,
    write_rejected,
    write_shard,
)

Members = list[tuple[Row, bytes]]


def members(payloads: list[bytes], split: str = "train") -> Members:
    rows = [
        Row(f"n1_{split}{n}", split, n % 9, "n1", IN9.member_name(n % 9, f"n1_{split}{n}"), extra={"source": f"a,{n}"})
        for n in range(len(payloads))
    ]
    return list(zip(rows, payloads, strict=True))


def write_set(folder: Path, payloads: list[bytes]) -> Path:
    for split in ("train", "val"):
        write_shard(folder, shard_name(split, 0), members(payloads, split))
    finish_set(folder, classes=IN9, columns=("source",), notes={"seed": 3})
    return folder


@settings(max_examples=20)
@given(payloads=st.lists(st.binary(max_size=1500), min_size=1, max_size=12))
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes]) -> None:
    folder = write_set(tmp_path_factory.mktemp("set"), payloads)
    with ImageSet(folder) as images:
        for split in ("train", "val"):
            rows = images.split(split)
            assert [row.id for row in rows] == [row.id for row, _ in members(payloads, split)]
            assert [images.read(row) for row in rows] == payloads
            assert [row.extra["source"] for row in rows] == [f"a,{n}" for n in range(len(payloads))]
        assert sum(images.manifest["images"]["train"].values()) == len(payloads)
        assert images.manifest["seed"] == 3
        with tarfile.open(folder / "train-00000.tar") as tar:
            assert [tar.extractfile(member).read() for member in tar] == payloads  # type: ignore[union-attr]  # files all


def test_gnu_tar_reads_a_shard_as_the_release_is_laid_out(tmp_path: Path) -> None:
    write_set(tmp_path / "set", [b"a", b"b"])
    names = subprocess.run(["tar", "-tf", tmp_path / "set/val-00000.tar"], check=True, capture_output=True, text=True)
    assert names.stdout.split() == ["00_dog/n1_val0.JPEG", "01_bird/n1_val1.JPEG"]


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=25)
    | st.text("ab", min_size=90, max_size=110).map(lambda name: f"{'d' * 20}/{name[:100]}"),
    size=st.integers(0, 8**11 - 1),
)
def test_a_members_header_is_tarfiles(name: str, size: int) -> None:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    assert _tar_header(name, size) == header.tobuf(tarfile.USTAR_FORMAT)


def test_a_cell_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows.csv has no column extra"):
        write_csv(tmp_path / "rows.csv", ("id",), [{"id": "a", "extra": "b"}])


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_set(tmp_path / name, [b"a" * 700, b"", b"c"]) for name in ("one", "other"))
    for path in one.glob("*.*"):
        assert path.read_bytes() == (other / path.name).read_bytes()


def test_a_worker_reads_with_its_own_rows_and_no_index(tmp_path: Path) -> None:
    folder = write_set(tmp_path, [b"a", b"b"])
    row = ImageSet(folder).rows[1]
    (folder / "index.csv").write_text("not read")
    with ImageSet(folder, rows=[row]) as images:
        assert images.rows == [row]
        assert images.read(row) == b"b"


def test_a_killed_shard_is_not_written_and_is_written_anew(tmp_path: Path) -> None:
    whole = write_set(tmp_path / "whole", [b"a", b"b"])
    killed = tmp_path / "killed"
    write_shard(killed, "train-00000.tar", members([b"a", b"b"]))
    with pytest.raises(KeyboardInterrupt), ShardWriter(killed, "val-00000.tar") as writer:
        writer.add(*members([b"a", b"b"], "val")[0])
        raise KeyboardInterrupt
    assert shard_is_written(killed, "train-00000.tar")
    assert not shard_is_written(killed, "val-00000.tar")
    assert not (killed / "val-00000.tar").exists()
    write_shard(killed, "val-00000.tar", members([b"a", b"b"], "val"))
    finish_set(killed, classes=IN9, columns=("source",), notes={"seed": 3})
    for path in whole.glob("*.*"):
        assert path.read_bytes() == (killed / path.name).read_bytes()


def test_a_shard_without_its_part_counts_as_not_written(tmp_path: Path) -> None:
    write_shard(tmp_path, "val-00000.tar", members([b"a"], "val"))
    (tmp_path / "parts/val-00000.json").unlink()
    assert not shard_is_written(tmp_path, "val-00000.tar")


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path, [b"a" * 600, b"b" * 600])
    shard = folder / "val-00000.tar"
    shard.write_bytes(shard.read_bytes()[:2000])
    with ImageSet(folder) as images:
        first, last = images.split("val")
        assert images.read(first) == b"a" * 600
        with pytest.raises(InputError, match=r"val-00000.tar ends before image n1_val1 \(expected 600 bytes at 2048"):
            images.read(last)
        assert list(corrupt_files(images)) == ["val-00000.tar"]


def test_a_changed_and_a_missing_shard_are_corrupt(tmp_path: Path) -> None:
    folder = write_set(tmp_path, [b"a" * 600])
    with ImageSet(folder) as images:
        assert list(corrupt_files(images)) == []
        data = bytearray((folder / "train-00000.tar").read_bytes())
        data[600] ^= 1
        (folder / "train-00000.tar").write_bytes(data)
        (folder / "val-00000.tar").unlink()
        assert list(corrupt_files(images)) == ["train-00000.tar", "val-00000.tar"]


@pytest.mark.parametrize("name", ["index.csv", "manifest.json"])
def test_an_unfinished_set_says_what_it_lacks(tmp_path: Path, name: str) -> None:
    folder = write_set(tmp_path, [b"a"])
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"is not a finished set: it has no {name}; re-run the stage"):
        ImageSet(folder)


def test_an_index_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    folder = write_set(tmp_path, [b"a", b"b"])
    rows, text = ImageSet(folder).rows, (folder / "index.csv").read_text()
    (folder / "index.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert ImageSet(folder).rows == rows
    (folder / "index.csv").write_text(text.replace('"', "").replace("a,", "a ").replace(",", ";"))
    assert [row.id for row in ImageSet(folder).rows] == [row.id for row in rows]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data + b"caf\xe9\n", r"index.csv:6: expected text in UTF-8"),
        (lambda data: data + b"n1_7,train\n", r"index.csv:6: expected 9 cells"),
        (lambda data: data.replace(b"label", b"Label", 1), r"expected the columns id,split,label,.* in .*index.csv"),
        (lambda data: data.replace(b",512,", b",5.12E+02,", 1), r"invalid literal for int.*5.12E\+02"),
    ],
)
def test_a_spoilt_index_is_one_sentence(tmp_path: Path, spoil: Callable[[bytes], bytes], words: str) -> None:
    folder = write_set(tmp_path, [b"a", b"b"])
    (folder / "index.csv").write_bytes(spoil((folder / "index.csv").read_bytes()))
    with pytest.raises(InputError, match=words):
        ImageSet(folder)


def test_an_id_that_a_set_lacks_is_named(tmp_path: Path) -> None:
    images = ImageSet(write_set(tmp_path, [b"a", b"b"]))
    assert [row.id for row in images.by_id(["n1_val1", "n1_train0"])] == ["n1_val1", "n1_train0"]
    with pytest.raises(InputError, match="has no image n9_9"):
        images.by_id(["n9_9"])


def test_what_was_rejected_is_written_and_counted(tmp_path: Path) -> None:
    rows = [{"id": f"n1_{n}", "split": "val", "label": 0, "reason": reason} for n, reason in enumerate("bab")]
    assert write_rejected(tmp_path, rows) == {"a": 1, "b": 2}
    text = (tmp_path / "rejected.csv").read_text()
    assert [cells["reason"] for cells in csv.DictReader(io.StringIO(text))] == ["b", "a", "b"]


def test_a_set_without_images_is_a_set(tmp_path: Path) -> None:
    assert finish_set(tmp_path, classes=IN9)["images"] == {"train": {}, "val": {}}
    assert ImageSet(tmp_path).rows == []
    assert json.loads((tmp_path / "manifest.json").read_text())["shards"] == {}


@pytest.mark.parametrize(
    ("file", "edit", "sentence"),
    [
        (
            "index.csv",
            lambda text: text.replace("shard,offset,", "", 1),
            "expected the columns id,.*got id,split,label,wnid,name,size,source",
        ),
        ("index.csv", lambda _: "", "expected the columns id,.*got an empty line"),
        ("index.csv", lambda text: text[:-12], "index.csv:5: expected 9 cells"),
        ("index.csv", lambda text: text.replace("train,1,", "train,one,"), "image n1_train1: invalid literal"),
        ("index.csv", lambda text: text.replace("train,1,", "train,9,"), "image n1_train1: label 9, split 'train'"),
        ("index.csv", lambda text: text.replace("train,1,", "test,1,"), "image n1_train1: label 1, split 'test'"),
        ("index.csv", lambda text: text.replace("512,3,", "-512,3,", 1), "image n1_train0: .*offset -512 and size 3"),
        ("index.csv", lambda text: text.replace("a,0", "\udce4", 1), "index.csv:2: expected text in UTF-8"),
        ("manifest.json", lambda text: text[:40], "manifest.json is broken, expected JSON"),
        ("manifest.json", lambda _: "", "manifest.json is broken, expected JSON"),
        ("manifest.json", lambda _: "[]", "manifest.json is no manifest of a set"),
        ("manifest.json", lambda _: '{"shards": 3}', "manifest.json is no manifest of a set"),
    ],
)
def test_a_spoilt_set_is_a_sentence(tmp_path: Path, file: str, edit: Callable[[str], str], sentence: str) -> None:
    folder = write_set(tmp_path / "set", [b"one", b"two"])
    path = folder / file
    path.write_bytes(edit(path.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=sentence) as caught:
        ImageSet(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_index_as_spreadsheets_save_it_is_read(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [b"one", b"two"])
    index = folder / "index.csv"
    index.write_bytes(b"\xef\xbb\xbf" + index.read_bytes().replace(b"\n", b"\r\n"))
    with ImageSet(folder) as images:
        assert [images.read(row) for row in images.split("val")] == [b"one", b"two"]


def test_a_cut_shard_names_the_image(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", [b"one", b"two"])
    shard = folder / "val-00000.tar"
    shard.write_bytes(shard.read_bytes()[:514])
    with (
        ImageSet(folder) as images,
        pytest.raises(InputError, match=r"val-00000.tar ends before image n1_val0 .*2"),
    ):
        images.read(images.split("val")[0])
