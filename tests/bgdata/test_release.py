"""The official release's layout, drawn: what is read from a folder and from an archive, and what is refused."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg
from bgdata.pixels import load_masks, load_pixels
from bgdata.sources import open_sources
from tests.releases import draw_release

NAMES = ("original", "fg_mask", "mixed_rand")
SIDE = 24


@pytest.fixture
def release(tmp_path: Path) -> Path:
    draw_release(tmp_path / "bg_challenge", names=NAMES, side=SIDE)
    return tmp_path / "bg_challenge"


def pack(release: Path) -> Path:
    archive = release.parent / "release.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(release, "./bg_challenge")
    return archive


@pytest.mark.parametrize("door", ["folder", "folder around", "archive"])
def test_all_doors_lead_to_the_same_images(release: Path, door: str) -> None:
    data = {"folder": release, "folder around": release.parent, "archive": pack(release)}[door]
    sources = open_sources(data, NAMES)
    rows = sources["original"].split("val")
    assert [row.label for row in rows] == [label for label in range(9) for _ in range(2)]
    assert rows[0].id == "n00000000_1"
    assert not sources["original"].split("train")
    mixed = sources["mixed_rand"].split("val")
    assert [row.id for row in mixed] == [row.id for row in rows]
    assert mixed[0].extra["background"] == "n00000007_1"
    pixels = load_pixels(sources["original"], rows, size=None, folder=None, workers=2, label="photos")
    expected = decode_image((release / "original/val/00_dog/n00000000_1.JPEG").read_bytes())
    assert (pixels[0] == expected).all()
    masks = load_masks(sources["fg_mask"], sources["fg_mask"].by_id([rows[3].id]), **LOAD)
    assert (masks[0] == np.load(release / f"fg_mask/val/{rows[3].name[:-5]}.npy")).all()
    assert decode_mask(sources["fg_mask"].read(sources["fg_mask"].rows[0])).dtype == bool


LOAD = {"size": None, "folder": None, "workers": 1, "label": "masks"}


def test_mistakes_get_a_sentence(release: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for data, names, sentence in (
        (tmp_path / "empty", NAMES, r"empty is no ImageNet-9 release: expected .*found nothing"),
        (tmp_path / "nowhere", NAMES, r"nowhere is no folder and no .tar.gz"),
        (release, ("only_fg", "original"), r"only_fg holds no image"),
    ):
        with pytest.raises(InputError, match=sentence):
            open_sources(data, names)
    with pytest.raises(InputError, match=r"original has no image n9: the release is not whole"):
        open_sources(release, NAMES)["original"].by_id(["n9"])
    shutil.copytree(release / "original/val/00_dog", release / "original/val/dogs")
    with pytest.raises(InputError, match=r"has a class 'dogs', expected 00_dog to 08_fish"):
        open_sources(release, NAMES)
    shutil.rmtree(release / "original")
    (release / "original/val/00_dog").mkdir(parents=True)
    with pytest.raises(InputError, match=r"original holds no image: expected <variant>/val/00_dog/"):
        open_sources(release, NAMES)


def test_broken_files_get_a_sentence(release: Path) -> None:
    archive = pack(release)
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(InputError, match="is cut short or no archive"):
        open_sources(archive, NAMES)
    mask = release / "fg_mask/val/00_dog/n00000000_1.npy"
    np.save(mask, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"n00000000_1.npy is no mask"):
        load_masks((masks := open_sources(release, NAMES)["fg_mask"]), masks.rows, **LOAD)
    np.save(mask, np.zeros((SIDE, SIDE, 3), bool))
    with pytest.raises(InputError, match=r"is an array of shape \(24, 24, 3\), expected a mask"):
        load_masks((masks := open_sources(release, NAMES)["fg_mask"]), masks.rows, **LOAD)


def test_a_photo_of_another_size_is_a_sentence(release: Path) -> None:
    (release / "original/val/03_reptile/n00000003_2.JPEG").write_bytes(encode_jpeg(np.zeros((10, 12, 3), np.uint8), 90))
    originals = open_sources(release, NAMES)["original"]
    with pytest.raises(InputError, match=r"image n00000003_2 of .*original is 10x12, expected 24x24"):
        load_pixels(originals, originals.rows, **LOAD)
