"""The official release's layout, drawn: what is read from a folder and from an archive, and what is refused."""

import errno
import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg
from bgdata.pixels import load_masks, load_pixels
from bgdata.sources import open_sources, passed_over
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
        (tmp_path / "nowhere", NAMES, r"nowhere is no folder and no archive"),
        (release, ("only_fg", "original", "no_fg"), r"bg_challenge has no only_fg, no_fg \(it has original\): give"),
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
    with pytest.raises(InputError, match=r"release.tar.gz is damaged or cut short"):
        open_sources(archive, NAMES)
    mask = release / "fg_mask/val/00_dog/n00000000_1.npy"
    np.save(mask, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"fg_mask/val/00_dog/n00000000_1.npy: no mask"):
        load_masks((masks := open_sources(release, NAMES)["fg_mask"]), masks.rows, **LOAD)
    np.save(mask, np.zeros((SIDE, SIDE, 3), bool))
    with pytest.raises(InputError, match=r"n00000000_1.npy: an array bool of shape \(24, 24, 3\), expected a mask"):
        load_masks((masks := open_sources(release, NAMES)["fg_mask"]), masks.rows, **LOAD)


def test_a_photo_of_another_size_is_a_sentence(release: Path) -> None:
    (release / "original/val/03_reptile/n00000003_2.JPEG").write_bytes(encode_jpeg(np.zeros((10, 12, 3), np.uint8), 90))
    originals = open_sources(release, NAMES)["original"]
    with pytest.raises(InputError, match=r"original/val/03_reptile/n00000003_2.JPEG is 10x12, expected 24x24"):
        load_pixels(originals, originals.rows, **LOAD)


DOORS = ("folder", "gztar", "bztar", "xztar", "zip")


def through(door: str, release: Path) -> Path:
    """The release as a folder, or packed anew."""
    if door == "folder":
        return release
    return Path(shutil.make_archive(str(release.parent / "packed"), door, release.parent, release.name))


def put(release: Path, name: str, file: str, data: bytes) -> None:
    place = release / name / "val" / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.mark.parametrize("door", DOORS)
def test_endings_depth_and_hidden_files(release: Path, door: str) -> None:
    first = release / "original/val/00_dog/n00000000_1.JPEG"
    noise = decode_image(first.read_bytes())
    for number, ending in enumerate((".JPG", ".jpeg", ".Png", ".bmp", ".WEBP", ".tiff", ".PPM")):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, Image.registered_extensions()[ending.lower()])
        put(release, "original", f"01_bird/more/n00000001_{10 + number}{ending}", file.getvalue())
    hidden = (".DS_Store", "._n1_1.JPEG", ".ipynb_checkpoints/n1_1.JPEG", "Thumbs.db", "@eaDir/n1_1.JPEG")
    for file in hidden:
        put(release, "original", f"02_wheeled vehicle/{file}", b"\0")
    for file in ("01_bird/notes.txt", "01_bird/n1_9.gif", "08_fish/n8_9.GIF", "README", "n1_1.JPEG"):
        put(release, "original", file, b"\0")
    put(release.parent / "__MACOSX", release.name, "x", b"\0")
    (release / "original/train/03_reptile").mkdir(parents=True)
    (release / "original/train/03_reptile/a.txt").write_bytes(b"")
    sources = open_sources(through(door, release), NAMES, split="val")
    rows = sources["original"].split("val")
    assert len(rows) == 18 + 7
    assert [row.label for row in rows if "/more/" in row.name] == [1] * 7
    pixels = load_pixels(sources["original"], rows, **LOAD)
    places = [place for place, row in enumerate(rows) if row.name.endswith((".Png", ".bmp", ".tiff", ".PPM"))]
    assert (pixels[places] == noise).all()
    counted = {".GIF": 1, ".JPEG": 1, ".gif": 1, ".txt": 1, "README": 1}
    assert passed_over(sources, "val") == {"original": counted}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("file", "cut", "sentence"),
    [
        (
            "original/val/00_dog/n00000000_1.JPEG",
            0,
            "expected an image, and it is empty",
        ),  # the first, whose size is the set's
        ("original/val/00_dog/n00000000_1.JPEG", 300, "expected an image, "),
        ("mixed_rand/val/04_carnivore/fg_n00000004_2_bg_n00000007_1.JPEG", 40, "expected an image, "),
        ("fg_mask/val/00_dog/n00000000_1.npy", 0, "no mask"),
        ("fg_mask/val/05_insect/n00000005_2.npy", 200, "no mask"),
    ],
)
def test_a_broken_image_is_named(release: Path, door: str, file: str, cut: int, sentence: str) -> None:
    path = release / file
    path.write_bytes(path.read_bytes()[:cut])
    name = file.split("/")[0]
    source = open_sources(through(door, release), [name])[name]
    load = load_masks if name == "fg_mask" else load_pixels
    with pytest.raises(InputError, match=f"/{file}: {sentence}") as caught:
        load(source, source.rows, **LOAD)
    assert "\n" not in str(caught.value)


def test_links_to_nothing_and_folders_that_cannot_be_read(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (release / "original/val/00_dog/n00000000_1.JPEG").unlink()
    (release / "original/val/00_dog/n00000000_1.JPEG").symlink_to("nothing")
    source = open_sources(release, ["original"])["original"]
    with pytest.raises(InputError, match=r"00_dog/n00000000_1.JPEG cannot be read \(No such file"):
        load_pixels(source, source.rows, **LOAD)

    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"original/val cannot be read \(Permission denied\)"):
        open_sources(release, ["original"])


def test_data_of_other_kinds_get_a_sentence(release: Path, tmp_path: Path) -> None:
    page = tmp_path / "release.tar.gz"
    page.write_text("<!DOCTYPE html>\n<html>\n<body>\nNot found\n</body>\n" * 99)
    shutil.copytree(release, tmp_path / "twice/a")
    shutil.copytree(release, tmp_path / "twice/b")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/original.txt").write_text("")
    (tmp_path / "single").mkdir()
    (tmp_path / "single/manifest.json").write_text("{}")
    for data, sentence in (
        (page, r"release.tar.gz is a web page \(HTML\), expected .zip"),
        (shutil.make_archive(str(tmp_path / "twice"), "zip", tmp_path / "twice"), r"holds 2 releases \(a, b\)"),
        (
            shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path / "other"),
            "other.zip is no ImageNet-9 release",
        ),
        (tmp_path / "single", "single is a single set: give the folder around it"),
    ):
        with pytest.raises(InputError, match=sentence) as caught:
            open_sources(Path(data), NAMES)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"original has no image of the split train \(it has val\): choose another"):
        open_sources(release, NAMES, split="train")
    shutil.rmtree(release / "mixed_rand")
    with pytest.raises(InputError, match=r"bg_challenge has no mixed_rand \(it has original, fg_mask\)"):
        open_sources(release, NAMES)
    with pytest.raises(InputError, match=r"packed.zip has no mixed_rand \(it has original, fg_mask\)"):
        open_sources(through("zip", release), NAMES)
