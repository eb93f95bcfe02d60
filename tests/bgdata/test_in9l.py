import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata import in9l
from bgdata.errors import InputError
from bgdata.geometry import CentreCrop
from bgdata.in9l import In9LSettings, write_in9l
from bgdata.ingest.sources import open_source
from bgdata.io import decode_image
from bgdata.shards import ImageSet
from tests.conftest import TRAIN, TinyTree, photo_id

SETTINGS = In9LSettings(max_unreadable=0.05, resize=64, size=56, jpeg_quality=95, images_per_shard=10)


def write(tree: TinyTree, work: Path, *, workers: int = 1, **options: Any) -> dict[str, Any]:
    work.mkdir(exist_ok=True)
    opened, candidates = open_source("imagenet", tree.root)
    return write_in9l(opened, candidates, work, settings=SETTINGS, workers=workers, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_train_photo_is_there_whatever_its_boxes(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tiny_tree.annotate(0, 0, [])
    tiny_tree.annotation(1, 0).unlink()
    tiny_tree.annotate(2, 0, [], size=(1, 1))
    manifest = write(tiny_tree, tmp_path / "work")
    assert manifest["images"]["val"] == {}
    assert set(manifest["images"]["train"].values()) == {TRAIN}
    assert (manifest["candidates"], manifest["rejected"]) == (9 * TRAIN, {})
    with ImageSet(tmp_path / "work/in9l") as images:
        assert len(images.rows) == 9 * TRAIN
        for row in images.rows[::7]:
            source = tiny_tree.root / row.extra["source"]
            expected = CentreCrop(64, 56).image(decode_image(source.read_bytes()))
            found = decode_image(images.read(row))
            assert found.shape == (56, 56, 3)
            assert abs(found.astype(float) - expected).mean() < 3


def test_what_would_leak_or_cannot_be_read_is_counted(tiny_tree: TinyTree, tmp_path: Path) -> None:
    shutil.copy(tiny_tree.photo(3, 0, "val"), tiny_tree.photo(3, 1))
    shutil.copy(tiny_tree.photo(4, 0), tiny_tree.photo(4, 1))
    tiny_tree.photo(5, 0).write_bytes(tiny_tree.photo(5, 0).read_bytes()[:-900])
    manifest = write(tiny_tree, tmp_path / "work", excluded={photo_id(6, 2), photo_id(0, 0, "val")})
    assert manifest["rejected"] == {"duplicate": 2, "excluded": 1, "unreadable": 1}
    lines = (tmp_path / "work/in9l/rejected.csv").read_text().splitlines()[1:]
    assert {tuple(line.split(",")[::3]) for line in lines} == {
        (photo_id(3, 1), "duplicate"),
        (photo_id(4, 1), "duplicate"),
        (photo_id(5, 0), "unreadable"),
        (photo_id(6, 2), "excluded"),
    }


def test_the_bytes_depend_neither_on_workers_nor_on_a_kill(
    shared_tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shared_tree, tmp_path / "whole", workers=2)
    encode, encoded = in9l.encode_jpeg, []

    def encode_or_die(image: np.ndarray, quality: int) -> bytes:
        if len(encoded) == 15:
            raise KeyboardInterrupt
        encoded.append(image)
        return encode(image, quality)

    monkeypatch.setattr(in9l, "encode_jpeg", encode_or_die)
    with pytest.raises(KeyboardInterrupt):
        write(shared_tree, tmp_path / "killed")
    monkeypatch.setattr(in9l, "encode_jpeg", lambda image, quality: encoded.append(image) or encode(image, quality))
    write(shared_tree, tmp_path / "killed")
    assert len(encoded) == 15 + 9 * TRAIN - 10  # the finished shard is not written again
    whole, killed = (files(tmp_path / name / "in9l") for name in ("whole", "killed"))
    assert whole == killed


def test_too_few_photos_are_a_sentence(tiny_tree: TinyTree, tmp_path: Path) -> None:
    for number in range(TRAIN):
        tiny_tree.photo(0, number).write_bytes(b"")
    with pytest.raises(InputError, match=r"4 of 63 photos are unreadable, more than ingest.max_unreadable \(0.05\)"):
        write(tiny_tree, tmp_path / "work")
    shutil.rmtree(tiny_tree.root / "ILSVRC/Data/CLS-LOC/train")
    with pytest.raises(
        InputError,
        match=r"has no train photo of in9 .9 classes: dog, bird, .* to train on: leave out data: in9l",
    ):
        write(tiny_tree, tmp_path / "other")
