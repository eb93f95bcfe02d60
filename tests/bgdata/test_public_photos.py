"""Oxford-IIIT Pet and Imagenette: from archives of the publishers' form to trees of class folders, and on into sets."""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgdata.errors import InputError
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.fetch.public_photos import fetch_public_photos
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.ingest.sources import open_source
from bgdata.io import decode_mask, encode_jpeg
from bgdata.shards import ImageSet

SIZE = (40, 50)
PER_SPLIT = 2


def jpeg(seed: int) -> bytes:
    return encode_jpeg(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8), 90)


def trimap() -> bytes:
    values = np.full(SIZE, 2, np.uint8)
    values[10:30, 10:40] = 3
    values[12:28, 12:38] = 1
    data = io.BytesIO()
    Image.fromarray(values).save(data, "PNG")
    return data.getvalue()


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))


def raw_name(breed: str) -> str:
    """As the authors write it: cats with capitals, dogs without."""
    return breed.replace(" ", "_") if breed in ("Abyssinian", "Maine Coon") else breed.replace(" ", "_").lower()


def pets() -> tuple[dict[str, bytes], dict[str, bytes]]:
    images, masks, lists = {}, {}, {"trainval.txt": "", "test.txt": "#Image CLASS-ID\n"}
    for label, breed in enumerate(PUBLIC_LISTS["oxford_pets"].names):
        for number in range(2 * PER_SPLIT):
            stem = f"{raw_name(breed)}_{number}"
            images[f"images/{stem}.jpg"] = jpeg(10 * label + number)
            masks[f"annotations/trimaps/{stem}.png"] = trimap()
            masks[f"annotations/trimaps/._{stem}.png"] = b"a note of macOS"
            lists["trainval.txt" if number < PER_SPLIT else "test.txt"] += f"{stem} {label + 1} 1 1\n"
    images["images/Abyssinian_1.mat"] = b"no photo"
    return {f"annotations/{name}": text.encode() for name, text in lists.items()} | masks, images


def imagenette() -> dict[str, bytes]:
    wnids = list(PUBLIC_LISTS["imagenette"].label_by_wnid)
    return {
        f"imagenette2-160/{split}/{wnid}/{wnid}_{number}.JPEG": jpeg(int(wnid[1:]) + number + 7 * (split == "val"))
        for split in ("train", "val")
        for wnid in wnids
        for number in range(PER_SPLIT)
    } | {"imagenette2-160/noisy_imagenette.csv": b"path,label"}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "mirror"
    for remote, files in zip((*SOURCES["oxford_pets"], *SOURCES["imagenette"]), (*pets(), imagenette()), strict=True):
        write_tar(folder / remote.name, files)
    for source in ("oxford_pets", "imagenette"):
        hashed = tuple(
            RemoteFile(one.name, one.url, md5=hashlib.md5((folder / one.name).read_bytes()).hexdigest())
            for one in SOURCES[source]
        )
        monkeypatch.setitem(SOURCES, source, hashed)
    return folder.as_uri()


@pytest.mark.parametrize("source", ["oxford_pets", "imagenette"])
def test_a_public_set_becomes_photos_of_its_classes(source: str, mirror: str, tmp_path: Path) -> None:
    fetch_public_photos(source, tmp_path / "tree", downloads=tmp_path / "down", mirror=mirror)
    classes = PUBLIC_LISTS[source]
    tree, candidates = open_source(source, tmp_path / "tree", classes)
    assert len(candidates) == 2 * PER_SPLIT * len(classes)
    settings = IngestSettings(
        filters=FilterSettings(require_box=False, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.5,
        max_unreadable=0,
        photos_per_shard=1000,
    )
    ingest_photos(tree, candidates, tmp_path / "work", settings=settings, seed=0, workers=1)
    with ImageSet(tmp_path / "work/photos") as photos, ImageSet(tmp_path / "work/given_masks") as masks:
        assert photos.classes.same_as(classes)
        for split in ("train", "val"):
            assert photos.manifest["images"][split] == dict.fromkeys(classes.folders, PER_SPLIT)
        assert len(masks.rows) == (len(candidates) if source == "oxford_pets" else 0)
        for row in masks.rows[:5]:
            mask = decode_mask(masks.read(row))
            assert mask[10:30, 10:40].all()
            assert mask.sum() == 20 * 30


def test_what_is_there_is_not_fetched_again(mirror: str, tmp_path: Path) -> None:
    for _ in range(2):
        fetch_public_photos("imagenette", tmp_path / "tree", downloads=tmp_path / "down", mirror=mirror)
        mirror = "file:///nowhere"


def test_an_archive_without_photos_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (remote,) = SOURCES["imagenette"]
    write_tar(tmp_path / remote.name, {"other/1.txt": b"x"})
    monkeypatch.setitem(SOURCES, "imagenette", (RemoteFile(remote.name, remote.url),))
    with pytest.raises(InputError, match="holds no photo of imagenette: remove it, and run again"):
        fetch_public_photos("imagenette", tmp_path / "t", downloads=tmp_path / "down", mirror=tmp_path.as_uri())
