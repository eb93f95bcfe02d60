"""The sets of the transfer tasks as they come: drawn, listed where they lie, or unpacked from their publishers."""

import argparse
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.fetch import segmentation
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.fetch.transfer import download_transfer_set, is_used, write_transfer_listing
from bgdata.transfer_sets.opening import OPENERS, open_task_set
from bgdata.transfer_sets.settings import TransferSetSettings
from pipeline import fetch_transfer
from tests.bgdata.transfer_folders import (
    write,
    write_ade_folder,
    write_cifar_folder,
    write_coco_folder,
    write_voc_folder,
)

SCENES = {"train": 12, "val": 10, "size": 64, "difficulty": 0.2}
MASK = np.tile(np.uint8([0, 1, 2, 3]), (48, 16))
ROOTS = {"coco": write_coco_folder, "cifar10": write_cifar_folder}


def make(layout: str, root: Path) -> Path:
    """A small set with both splits, and files that no reader looks at."""
    if layout == "coco":
        write_coco_folder(root, split="train2017")
    if layout in ROOTS:
        ROOTS[layout](root)
    else:
        {"voc": write_voc_folder, "ade20k": write_ade_folder}[layout](root, MASK)
    write(root / "notes/readme.html", "<html>")
    write(root / "annotations/captions_val2017.json", "{}")
    write(root / ".cache/data_batch_1", "x")
    return root


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


LISTED = {"coco": 8, "voc": 6, "ade20k": 5, "cifar10": 7}


@pytest.mark.parametrize(("layout", "count"), LISTED.items())
def test_a_listing_is_of_what_the_readers_use(tmp_path: Path, layout: str, count: int) -> None:
    root = make(layout, tmp_path / "set")
    assert write_transfer_listing(layout, root, tmp_path / "listing.csv") == count
    rows = [line.rsplit(",", 1) for line in lines(tmp_path / "listing.csv")]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert all((root / path).stat().st_size == int(size) for path, size in rows)
    assert not any("readme" in path or "captions" in path or ".cache" in path for path, _ in rows)


def test_class_folders_list_their_images_of_any_ending(tmp_path: Path) -> None:
    for name in ("train/cat/1.JPG", "train/cat/2.webp", "val/dog/3.png", "val/dog/notes.txt", ".git/4.png"):
        write(tmp_path / "set" / name, "x")
    assert write_transfer_listing("folder", tmp_path / "set", tmp_path / "listing.csv") == 3


def test_a_folder_that_holds_no_such_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere is no folder: name the folder into which the set is unpacked"):
        write_transfer_listing("coco", tmp_path / "nowhere", tmp_path / "listing.csv")
    for layout in ("coco", "ade20k"):
        with pytest.raises(InputError, match=rf"holds no file of the layout {layout}: name the folder into which"):
            write_transfer_listing(layout, tmp_path, tmp_path / "listing.csv")


# Archives


def zipped(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: Mapping[str, bytes], *, mode: Any = "w:gz") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def archives(layout: str, root: Path) -> dict[str, bytes]:
    """The publishers' archives of a small set."""
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }
    if layout == "coco":
        of = {
            name: {file: data for file, data in files.items() if file.startswith(f"{name}2017/")}
            for name in ("train", "val")
        }
        notes = {file: data for file, data in files.items() if file.startswith("annotations/")}
        return {
            "val2017.zip": zipped(of["val"]),
            "train2017.zip": zipped(of["train"]),
            "annotations_trainval2017.zip": zipped(notes),
        }
    return {
        "voc": {"VOCtrainval_11-May-2012.tar": tarred(files, mode="w")},
        "ade20k": {"ADEChallengeData2016.zip": zipped(files)},
        "cifar10": {"cifar-10-python.tar.gz": tarred(files)},
    }[layout]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the publishers' servers hold, by the files' names; each is asked for once."""
    held: dict[str, bytes] = {}

    def fetch_file(remote: RemoteFile, folder: Path, *, mirror: str | None) -> Path:
        assert mirror == "https://mirror"
        return write(folder / remote.name, held.pop(remote.name))

    monkeypatch.setattr(segmentation, "fetch_file", fetch_file)
    return held


@pytest.mark.parametrize("layout", LISTED)
def test_archives_become_sets_that_open(tmp_path: Path, published: dict[str, bytes], layout: str) -> None:
    published |= archives(layout, make(layout, tmp_path / "made"))
    folder = tmp_path / "downloads"
    for _ in range(2):  # the second time nothing is asked for
        download_transfer_set(layout, folder, mirror="https://mirror")
    assert published == {}
    assert write_transfer_listing(layout, folder, tmp_path / "listing.csv") == LISTED[layout]
    assert not list(folder.rglob("readme.html"))
    settings = TransferSetSettings.model_validate({"layout": layout, "source": "download"})
    for task in (task for task, openers in OPENERS.items() if layout in openers):
        for split in ("train", "val"):
            data = open_task_set(task, settings, root=folder, split=split)
            assert data.read(data.ids[0]).image.size


def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, published: dict[str, bytes]) -> None:
    published["cifar-10-python.tar.gz"] = tarred({"../cifar-10-batches-py/test_batch": b"x"})
    with pytest.raises(InputError, match=r"expected names below its own folder: do not trust this archive"):
        download_transfer_set("cifar10", tmp_path / "downloads", mirror="https://mirror")
    assert not (tmp_path / "cifar-10-batches-py").exists()


@pytest.mark.parametrize(
    ("layout", "used", "unused"),
    [
        ("coco", "annotations/instances_train2017.json", "annotations/person_keypoints_train2017.json"),
        ("coco", "train2017/1.jpg", "test2017/1.jpg"),
        ("ade20k", "ADEChallengeData2016/annotations/training/a.png", "ADEChallengeData2016/sceneCategories.txt"),
        ("cifar10", "cifar-10-batches-py/data_batch_5", "cifar-10-batches-py/readme.html"),
        ("cifar10", "cifar-10-batches-bin/data_batch_5.bin", "cifar-10-batches-py/data_batch_6"),
        ("voc", "VOCdevkit/VOC2012/SegmentationClass/1.png", "VOCdevkit/VOC2012/SegmentationObject/1.png"),
    ],
)
def test_only_what_readers_use_is_unpacked(layout: str, used: str, unused: str) -> None:
    assert is_used(layout, used)
    assert not is_used(layout, unused)


def test_the_publishers_files_are_checked_by_hash() -> None:
    remotes = [remote for name in ("coco_train2017", "ade20k", "cifar10") for remote in SOURCES[name]]
    assert len(remotes) == 3
    assert all(remote.sha256 or remote.md5 for remote in remotes)


# The stage


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of a stage, which is the working directory."""
    folder = tmp_path / "project"
    (folder / "build/config").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("WORK_DIR", raising=False)
    configure(folder, "runtime", {"workers": 1, "mirror": "https://mirror", "transfer": {}})
    return folder


def configure(project: Path, name: str, settings: dict[str, Any]) -> None:
    (project / f"build/config/{name}.json").write_text(json.dumps(settings))


def settings_of(name: str, **values: Any) -> dict[str, Any]:
    return {"sets": {name: TransferSetSettings.model_validate(values).model_dump()}, "seed": 4}


def run() -> None:
    fetch_transfer.main(argparse.Namespace())


def test_scenes_are_drawn_listed_and_open(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(project, "fetch_transfer", settings_of("small", layout="scenes", source="synthetic", scenes=SCENES))
    run()
    assert capsys.readouterr().out == "fetch_transfer: 24 files of small (scenes, synthetic)\n"
    assert len(lines(project / "data/raw/transfer/small/listing.csv")) == 24
    settings = TransferSetSettings(layout="scenes", source="synthetic", scenes=SCENES)
    for split, count in (("train", 12), ("val", 10)):
        data = open_task_set("detection", settings, root=project / "data/raw/transfer/small", split=split)
        assert len(data.ids) == count
    first = (project / "data/raw/transfer/small/annotations/instances_train2017.json").read_bytes()
    run()
    assert (project / "data/raw/transfer/small/annotations/instances_train2017.json").read_bytes() == first


def test_a_local_set_is_listed_where_it_lies_and_must_be_named(project: Path, tmp_path: Path) -> None:
    configure(project, "fetch_transfer", settings_of("mine", layout="coco", source="local"))
    with pytest.raises(InputError, match=r"the transfer set mine is local: set runtime.transfer.mine to its folder"):
        run()
    root = make("coco", tmp_path / "mine")
    configure(project, "runtime", {"workers": 1, "mirror": None, "transfer": {"mine": str(root)}})
    run()
    assert len(lines(project / "data/raw/transfer/mine/listing.csv")) == LISTED["coco"]
    assert [path.name for path in (project / "data/raw/transfer/mine").iterdir()] == ["listing.csv"]


def test_a_published_set_is_unpacked_beside_and_listed(
    project: Path, tmp_path: Path, published: dict[str, bytes]
) -> None:
    published |= archives("cifar10", make("cifar10", tmp_path / "made"))
    configure(project, "fetch_transfer", settings_of("cifar", layout="cifar10", source="download"))
    run()
    assert len(lines(project / "data/raw/transfer/cifar/listing.csv")) == LISTED["cifar10"]
    assert (project / "data/downloads/transfer/cifar/cifar-10-batches-py/test_batch").is_file()
