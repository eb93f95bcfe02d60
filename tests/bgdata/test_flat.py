"""Labelled photos without boxes: listed from a flat folder, ingested, and rendered with the masks' own boxes."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgdata.compose.render import render_sets
from bgdata.compose.settings import PlacementSettings, RenderSettings
from bgdata.errors import InputError
from bgdata.geometry import Box, CentreCrop, mask_box
from bgdata.ingest.candidates import find_gone, write_listing
from bgdata.ingest.flat import FlatFolder, list_flat
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_mask, encode_jpeg, encode_mask
from bgdata.labels import in9_label_by_wnid
from bgdata.prompts import synset_prompt
from bgdata.shards import ImageSet
from models.segmenters.base import read_photo
from tests.conftest import WNIDS, draw_object

PHOTOS = 2


def draw(label: int, number: int) -> tuple[bytes, np.ndarray]:
    image, mask = draw_object(np.random.default_rng([label, number]), (130, 150))
    return encode_jpeg(image, 90), mask


def write_flat(folder: Path) -> None:
    """Two photos of each class: one as the sample names it, one in its wnid's folder; masks beside them."""
    for label, wnid in enumerate(WNIDS):
        for number, place in enumerate((f"{wnid}_a_name.JPEG", f"{wnid}/0{number_of(label)}.jpg")):
            photo, mask = draw(label, number)
            for path, data in (
                (folder / place, photo),
                ((folder / "masks" / place).with_suffix(".png"), encode_mask(mask)),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


def number_of(label: int) -> int:
    return 7 * label


@pytest.fixture
def flat(tmp_path: Path) -> FlatFolder:
    write_flat(tmp_path / "photos")
    return FlatFolder(tmp_path / "photos")


def ingest(folder: FlatFolder, work: Path, *, require_box: bool = False, workers: int = 1) -> dict[str, Any]:
    settings = IngestSettings(
        filters=FilterSettings(require_box=require_box, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0,
        photos_per_shard=8,
    )
    return ingest_photos(folder, list_flat(folder)[0], work, settings=settings, seed=0, workers=workers)


# The folder


def test_files_and_folders_named_by_wnid_are_listed_for_val(flat: FlatFolder) -> None:
    candidates, others = list_flat(flat)
    assert others == 0
    assert [one.id for one in candidates] == sorted(
        [f"{wnid}_a_name" for wnid in WNIDS] + [f"{wnid}_0{number_of(label)}" for label, wnid in enumerate(WNIDS)]
    )
    assert {one.split for one in candidates} == {"val"}
    for one in candidates:
        assert one.label == in9_label_by_wnid()[one.wnid]
        assert one.photo is not None
        assert one.mask is not None
        assert one.annotation is None
        assert Path(one.photo).stem == Path(one.mask).stem == one.stem


def test_every_ending_is_read_and_other_photos_are_counted(flat: FlatFolder) -> None:
    dog, orange = WNIDS[0], "n07747607"
    for name in (f"{dog}_1.jpg", f"{dog}_2.PNG", f"{dog}_3.JpEg", f"{dog}.png", f"{dog}/{dog}_4.Jpeg"):
        (flat.home / name).write_bytes(b"")
    for name in (f"{orange}_1.jpg", f"{orange}/1.jpg", "holiday.jpg", f"{dog}1_1.jpg", "x/1.jpg"):
        (flat.home / name).parent.mkdir(exist_ok=True)
        (flat.home / name).write_bytes(b"")
    (flat.home / f"{dog}_5.txt").write_bytes(b"")
    candidates, others = list_flat(flat)
    new = {one.id for one in candidates if one.label == 0 and one.mask is None}
    assert new == {f"{dog}_{name}" for name in ("1", "2", "3", dog, "4")}
    assert others == 4  # a folder that is no wnid is not looked into


def test_hidden_and_system_files_are_no_photos(flat: FlatFolder) -> None:
    expected = list_flat(flat)
    for folder in (flat.home, flat.home / WNIDS[0], flat.home / "masks"):
        for name in (f"._{WNIDS[0]}_a_name.JPEG", f"._{WNIDS[0]}_a_name.png", ".DS_Store", "Thumbs.db"):
            (folder / name).write_bytes(b"")
        (folder / "@eaDir").mkdir()
        (folder / f"@eaDir/{WNIDS[0]}_7.jpg").write_bytes(b"")
    assert list_flat(flat) == expected


def test_the_samples_names_all_fit(tmp_path: Path) -> None:
    """The public sample names its files by the synsets' first names."""
    for wnid in in9_label_by_wnid():
        (tmp_path / f"{wnid}_{synset_prompt(wnid)[0].replace(' ', '_')}.JPEG").write_bytes(b"")
    candidates, others = list_flat(FlatFolder(tmp_path))
    assert (len({one.id for one in candidates}), others) == (370, 0)


def test_a_folder_without_photos_of_the_nine_says_how_to_name_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder of photos named <wnid>_<name>.JPEG, found no folder"):
        list_flat(FlatFolder(tmp_path / "nowhere"))
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"expected photos of the 370 .* found none \(1 other photos\): name the files"
    ):
        list_flat(FlatFolder(tmp_path))


def test_ids_that_are_one_or_too_long_are_told(flat: FlatFolder) -> None:
    twin = flat.home / f"{WNIDS[0]}_a_name.png"
    twin.write_bytes(b"")
    with pytest.raises(InputError, match=r"two photos have the id n\d+_a_name: .*; rename or remove one"):
        list_flat(flat)
    twin.rename(flat.home / f"{WNIDS[0]}_{'x' * 31}.png")
    with pytest.raises(InputError, match=r"has 41 characters, expected at most 40"):
        list_flat(flat)


def test_a_listing_is_the_same_wherever_the_folder_lies(flat: FlatFolder, tmp_path: Path) -> None:
    write_flat(tmp_path / "other")
    other = FlatFolder(tmp_path / "other")
    assert write_listing(flat, list_flat(flat)[0], tmp_path / "one.csv") == 9 * PHOTOS * 2
    write_listing(other, list_flat(other)[0], tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert find_gone(other, list_flat(other)[0], tmp_path / "one.csv") == []
    photo = other.home / f"{WNIDS[0]}_a_name.JPEG"
    photo.unlink()
    gone = find_gone(other, list_flat(other)[0], tmp_path / "one.csv")
    assert set(gone) == {photo, other.home / f"masks/{WNIDS[0]}_a_name.png"}
    lost = [one.id for one in list_flat(other, gone=gone)[0] if one.photo is None]
    assert lost == [photo.stem]
    for wnid in WNIDS[1:4]:
        (other.home / f"{wnid}_a_name.JPEG").unlink()
    with pytest.raises(InputError, match=r"other is not the tree that .* lists: 8 files are in one of them alone"):
        find_gone(other, list_flat(other)[0], tmp_path / "one.csv")


# Ingest


def test_photos_without_boxes_are_ingested(flat: FlatFolder, tmp_path: Path) -> None:
    manifest = ingest(flat, tmp_path / "work")
    assert manifest["rejected"] == {}
    assert {split: sum(of.values()) for split, of in manifest["images"].items()} == {"train": 0, "val": 9 * PHOTOS}
    with ImageSet(tmp_path / "work/photos") as photos, ImageSet(tmp_path / "work/given_masks") as masks:
        (row,) = photos.by_id([f"{WNIDS[4]}_a_name"])
        (mask,) = masks.by_id([row.id])
        assert photos.read(row) == draw(4, 0)[0]
        assert np.array_equal(decode_mask(masks.read(mask)), draw(4, 0)[1])
        assert [row.extra[edge] for edge in ("x0", "y0", "x1", "y1")] == [""] * 4
        assert (row.extra["height"], row.extra["width"]) == ("130", "150")
        assert row.extra["source"] == f"{WNIDS[4]}_a_name.JPEG"
        photo = read_photo(photos, row)
        assert photo.box is None
        assert photo.image.shape == (130, 150, 3)


def test_two_workers_give_the_bytes_of_one(flat: FlatFolder, tmp_path: Path) -> None:
    for workers in (1, 2):
        ingest(flat, tmp_path / str(workers), workers=workers)
    for path in (tmp_path / "1/photos").iterdir():
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "2/photos" / path.name).read_bytes()


def test_boxes_may_be_required(flat: FlatFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"class 00_dog has no photo in val of 2 listed \(left out: no_annotation 2\)"):
        ingest(flat, tmp_path / "work", require_box=True)


def test_a_split_that_has_photos_needs_two_of_each_class(flat: FlatFolder, tmp_path: Path) -> None:
    (flat.home / f"{WNIDS[8]}_a_name.JPEG").unlink()
    with pytest.raises(InputError, match=r"class 08_fish has a single photo in val of 1 listed"):
        ingest(flat, tmp_path / "work")


# Rendering


def test_without_an_annotation_the_masks_box_is_hidden(flat: FlatFolder, tmp_path: Path) -> None:
    ingest(flat, tmp_path / "in9")
    settings = RenderSettings(
        resize=72,
        size=64,
        jpeg_quality=90,
        edge="hard",
        feather=1.5,
        mixed_rand_from="any_class",
        placement=PlacementSettings(position="keep", size=[1.0, 1.0]),
        per_class=PerClass(train=None, val=None),
        images_per_shard=8,
    )
    work = tmp_path / "rendered"
    render_sets(tmp_path / "in9/photos", tmp_path / "in9/given_masks", settings=settings, seed=0, work=work, workers=1)
    crop = CentreCrop(72, 64)
    with (work / "mixed_same/index.csv").open(newline="") as file:
        rows = {cells["id"]: cells for cells in csv.DictReader(file)}
    assert len(rows) == 9 * PHOTOS
    for label, wnid in enumerate(WNIDS):
        cells = rows[f"{wnid}_a_name"]
        box = Box(*(int(cells[edge]) for edge in ("x0", "y0", "x1", "y1")))
        assert box == mask_box(crop.mask(draw(label, 0)[1]))
        assert cells["background"] == f"{wnid}_0{number_of(label)}"
