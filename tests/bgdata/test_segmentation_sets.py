"""Sets with true masks, as their official layouts hold them, whole and broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.io import decode_palette, encode_jpeg, encode_mask, encode_palette
from bgdata.masks.rle import decode_polygons, decode_rle, encode_polygons, encode_rle, encode_runs
from bgdata.segmentation_sets.base import Sample, SegmentationSet, UnusableTruth
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet, davis_categories
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.segmentation_sets.voc import CATEGORIES, VOID, VocSet, voc_palette
from bgdata.shards import ImageSet, Row, finish_set, member_name, shard_name, write_shard
from tests.bgdata.conftest import draw_photo, write_sets

SIZE = (24, 32)
PHOTO = encode_jpeg(np.full((*SIZE, 3), 120, np.uint8), 90)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def write(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


# Masks as COCO writes them

masks = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks)
@settings(max_examples=150, deadline=None)
def test_run_lengths_give_the_mask_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), mask.shape), mask)
    np.testing.assert_array_equal(decode_rle(encode_runs(mask), mask.shape), mask)
    assert coco_mask.frPyObjects(encode_runs(mask), *mask.shape)["counts"].decode() == encode_rle(mask)["counts"]


@given(masks)
@settings(max_examples=150, deadline=None)
def test_polygons_are_exact_or_none(mask: np.ndarray) -> None:
    polygons = encode_polygons(mask)
    if polygons is not None:
        np.testing.assert_array_equal(decode_polygons(polygons, mask.shape), mask)


def test_a_hole_has_no_polygon_and_a_rectangle_has() -> None:
    mask = rectangle(3, 4, 20, 15)
    assert encode_polygons(mask) is not None
    mask[8:10, 8:10] = False
    assert encode_polygons(mask) is None


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        ({"size": [24, 32], "counts": [700]}, "add up to 700 pixels, its image has 768"),
        ({"size": [24, 32], "counts": [700, 68, 1]}, "add up to 769 pixels"),
        ({"size": [24, 32], "counts": [800, -32]}, "expected numbers of 0 and more"),
        ({"size": [24, 32], "counts": "oo"}, "the compressed text ends within a number"),
        ({"size": [24, 32], "counts": ""}, "add up to 0 pixels"),
        ({"size": [24, 32], "counts": None}, "expected numbers of 0 and more, or COCO's compressed text"),
        ({"size": [32, 24], "counts": [768]}, r"of the size \[32, 24\], its image is \[24, 32\]"),
        ({"counts": [768]}, "of the size None"),
    ],
)
def test_broken_run_lengths_are_named(rle: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode_rle(rle, SIZE)


@pytest.mark.parametrize("polygons", [[], [[1, 1, 5, 5]], [[1, 1, 5, 5, 3]], [5], [[1, 1, 5, 5, 3, None]]])
def test_broken_polygons_are_named(polygons: list[Any]) -> None:
    with pytest.raises(InputError, match=r"broken polygon: expected a flat list|an empty list"):
        decode_polygons(polygons, SIZE)


@pytest.mark.parametrize("edge", [1e12, float("nan"), float("inf")])
def test_a_polygon_far_off_does_not_take_all_memory(edge: float) -> None:
    with pytest.raises(InputError, match="at least three points x, y on the image"):
        decode_polygons([[1, 1, 5, 5, edge, 3]], SIZE)


# COCO


def coco_contents() -> dict[str, Any]:
    """Two photos; in the first two dogs (a polygon, a crowd) and a cat, in the second nothing."""
    size = {"height": SIZE[0], "width": SIZE[1]}
    shapes = [
        (18, [[2, 2, 10, 2, 10, 8, 2, 8]]),
        (18, encode_runs(rectangle(12, 5, 20, 20))),
        (17, [[1, 1, 5, 1, 5, 5]]),
    ]
    return {
        "images": [{"id": 7, "file_name": "a.jpg", **size}, {"id": 9, "file_name": "b.jpg", **size}],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": category, "segmentation": shape, "iscrowd": int(n == 1)}
            for n, (category, shape) in enumerate(shapes)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    }


def write_coco_folder(root: Path, contents: Any = None) -> Path:
    write(root / "annotations/instances_val2017.json", json.dumps(coco_contents() if contents is None else contents))
    for name in ("a", "b"):
        write(root / f"val2017/{name}.jpg", PHOTO)
    return root


def test_coco_joins_a_categorys_masks_and_counts_photos_without_objects(tmp_path: Path) -> None:
    data = CocoSet(write_coco_folder(tmp_path))
    assert isinstance(data, SegmentationSet)
    assert (data.name, [sample.id for sample in data.samples]) == ("coco/val2017", ["a/cat", "a/dog"])
    assert data.counts == {"images": 2, "images_without_object": 1, "samples": 2, "categories": 2}
    truth = data.read(Sample("a/dog", "a", "dog", "a"))
    np.testing.assert_array_equal(truth.mask, rectangle(2, 2, 10, 8) | rectangle(12, 5, 20, 20))
    assert (truth.box, truth.void, truth.image.shape) == (Box(2, 2, 20, 20), None, (*SIZE, 3))


def test_coco_takes_val_of_several_splits(tmp_path: Path) -> None:
    write_coco_folder(tmp_path)
    write(tmp_path / "annotations/instances_train2017.json", "{}")
    (tmp_path / "train2017").mkdir()
    assert CocoSet(tmp_path).name == "coco/val2017"
    with pytest.raises(InputError, match=r"instances_train2017.json has no list `images`"):
        CocoSet(tmp_path, split="train2017")


def test_a_polygon_that_covers_no_pixel_is_counted(tmp_path: Path) -> None:
    contents = coco_contents()
    contents["annotations"][2]["segmentation"] = [[5, 5, 5, 5, 5, 5]]
    data = CocoSet(write_coco_folder(tmp_path, contents))
    with pytest.raises(UnusableTruth, match="empty_truth"):
        data.read(data.samples[0])


def broken(edit: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    contents = coco_contents()
    edit(contents)
    return contents


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([], r"has no list `images`: expected COCO's instances with images, categories, annotations"),
        (broken(lambda c: c.pop("images")), "has no list `images`"),
        (broken(lambda c: c.pop("annotations")), "has no list `annotations`"),
        (broken(lambda c: c.pop("categories")), "has no list `categories`"),
        (broken(lambda c: c["images"][0].pop("height")), "a record of `images` lacks `height`"),
        (broken(lambda c: c["images"].append(3)), "a record of `images` lacks `id`, or it is of the wrong type: 3"),
        (broken(lambda c: c["annotations"][0].update(image_id=8)), "annotation 0 names image_id 8, which the file"),
        (broken(lambda c: c["annotations"][2].update(category_id=1)), "annotation 2 names category_id 1, which the"),
        (broken(lambda c: c["annotations"][0].update(segmentation="x")), "lacks `segmentation`, or it is of the wrong"),
        (broken(lambda c: c["annotations"].clear()), "none of its 2 images has an object, so nothing can be scored"),
        (broken(lambda c: c["images"][0].update(file_name="c.jpg")), r"val2017/c.jpg is missing: unpack all"),
    ],
)
def test_a_malformed_coco_file_is_named(tmp_path: Path, contents: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        CocoSet(write_coco_folder(tmp_path, contents))


def test_coco_that_is_no_json_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"is no COCO folder: expected annotations/instances_<split>.json and <split>/"
    ):
        CocoSet(tmp_path)
    write_coco_folder(tmp_path)
    write(tmp_path / "annotations/instances_val2017.json", '{"images": [')
    with pytest.raises(InputError, match=r"instances_val2017.json is not JSON \(Expecting value"):
        CocoSet(tmp_path)
    with pytest.raises(InputError, match=r"instances_val2014.json is missing: unpack COCO's annotations"):
        CocoSet(tmp_path, split="val2014")


def test_what_is_broken_in_a_sample_is_named_when_it_is_read(tmp_path: Path) -> None:
    contents = coco_contents()
    contents["annotations"][2]["segmentation"] = [[1, 1, 5]]
    data = CocoSet(write_coco_folder(tmp_path, contents))
    cat, dog = data.samples
    with pytest.raises(InputError, match=r"instances_val2017.json: annotation 2: broken polygon"):
        data.read(cat)
    write(tmp_path / "val2017/a.jpg", encode_jpeg(np.zeros((32, 24, 3), np.uint8), 90))
    with pytest.raises(InputError, match=r"a.jpg is 32x24, instances_val2017.json says 24x32 \(height x width\)"):
        data.read(dog)
    write(tmp_path / "val2017/a.jpg", b"no photo")
    with pytest.raises(
        InputError, match=r"a.jpg: expected an image, got 8 bytes that no decoder reads; fetch it again"
    ):
        data.read(dog)
    (tmp_path / "val2017/a.jpg").unlink()
    with pytest.raises(InputError, match=r"a.jpg is missing: fetch the set again"):
        data.read(dog)


# VOC


def voc_mask() -> np.ndarray:
    indices = np.zeros(SIZE, np.uint8)
    indices[rectangle(2, 2, 12, 12)] = VOID
    indices[rectangle(3, 3, 11, 11)] = 12
    indices[rectangle(20, 10, 30, 20)] = 11
    return indices


def write_voc_folder(root: Path) -> Path:
    write(root / "ImageSets/Segmentation/val.txt", "2007_1\n2007_2\n\n")
    for stem, indices in (("2007_1", voc_mask()), ("2007_2", np.zeros(SIZE, np.uint8))):
        write(root / f"JPEGImages/{stem}.jpg", PHOTO)
        write(root / f"SegmentationClass/{stem}.png", encode_palette(indices, voc_palette()))
    return root


@pytest.mark.parametrize("place", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_reads_indices_and_void(tmp_path: Path, place: str) -> None:
    write_voc_folder(tmp_path / place)
    data = VocSet(tmp_path)
    assert isinstance(data, SegmentationSet)
    assert [sample.id for sample in data.samples] == ["2007_1/dining table", "2007_1/dog"]
    assert data.counts == {"images": 2, "images_without_object": 1, "samples": 2, "categories": 2}
    truth = data.read(data.samples[1])
    np.testing.assert_array_equal(truth.mask, rectangle(3, 3, 11, 11))
    np.testing.assert_array_equal(truth.void, rectangle(2, 2, 12, 12) & ~rectangle(3, 3, 11, 11))
    assert truth.box == Box(3, 3, 11, 11)


def test_vocs_colours_and_categories_are_vocs() -> None:
    assert (len(CATEGORIES), CATEGORIES[14]) == (20, "person")
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {index: tuple(voc_palette()[index].tolist()) for index in known} == known


def test_own_categories_take_the_place_of_vocs(tmp_path: Path) -> None:
    write_voc_folder(tmp_path)
    write(tmp_path / "categories.csv", "index,category\n11,fish\n12,guitar\n")
    assert [sample.category for sample in VocSet(tmp_path).samples] == ["fish", "guitar"]
    for text, words in (
        ("index,category\n11,fish\n", r"2007_1.png holds the index 12, which is no category \(1 to 11, 255 for void\)"),
        ("index\n11\n", r"categories.csv must have the columns index,category and no empty cell"),
        ("index,category\nx,fish\n", "the column index must hold numbers"),
    ):
        write(tmp_path / "categories.csv", text)
        with pytest.raises(InputError, match=words):
            VocSet(tmp_path)


def test_what_is_broken_in_voc_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no ImageSets/Segmentation/val.txt: expected the folder into which"):
        VocSet(tmp_path)
    write_voc_folder(tmp_path)
    mask = tmp_path / "SegmentationClass/2007_1.png"
    write(mask, encode_palette(voc_mask()[:-1], voc_palette()))
    data = VocSet(tmp_path)
    with pytest.raises(InputError, match=r"2007_1.png is 23x32, its photo is 24x32 \(height x width\)"):
        data.read(data.samples[0])
    for contents, words in (
        (b"broken", r"2007_1.png: expected a palette PNG, got 6 bytes that no decoder reads; unpack VOC2012 again"),
        (PHOTO, r"2007_1.png: expected a palette PNG, got an image of the mode RGB: its colours are no indices"),
    ):
        write(mask, contents)
        with pytest.raises(InputError, match=words):
            VocSet(tmp_path)
    mask.unlink()
    with pytest.raises(InputError, match=r"2007_1.png is missing: unpack VOC2012 again"):
        VocSet(tmp_path)
    write(tmp_path / "ImageSets/Segmentation/val.txt", "\n")
    with pytest.raises(InputError, match=r"val.txt is empty"):
        VocSet(tmp_path)


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=50, deadline=None)
def test_a_palette_png_gives_its_indices_back(indices: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_palette(encode_palette(indices, voc_palette())), indices)


# DAVIS


def write_davis_folder(root: Path, *, sequence: str = "dog-agility", frames: int = 3) -> Path:
    lines = []
    for frame in range(frames):
        photo, mask = f"JPEGImages/480p/{sequence}/{frame:05d}.jpg", f"Annotations/480p/{sequence}/{frame:05d}.png"
        write(root / photo, PHOTO)
        write(root / mask, encode_mask(rectangle(frame, 4, 12, 12) & (frame > 0)))
        lines.append(f"/{photo} /{mask} ")
    write(root / "ImageSets/480p/val.txt", "\n".join(lines))
    return root


@pytest.mark.parametrize("place", ["", "DAVIS"])
def test_davis_asks_for_the_category_and_never_the_sequences_name(tmp_path: Path, place: str) -> None:
    write_davis_folder(tmp_path / place)
    data = DavisSet(tmp_path)
    assert isinstance(data, SegmentationSet)
    assert [(one.id, one.category, one.cluster) for one in data.samples] == [
        ("dog-agility/00001", "dog", "dog-agility"),
        ("dog-agility/00002", "dog", "dog-agility"),
    ]
    assert data.counts == {"images": 3, "images_without_object": 1, "samples": 2, "categories": 1}
    np.testing.assert_array_equal(data.read(data.samples[1]).mask, rectangle(2, 4, 12, 12))


def test_the_table_has_the_fifty_sequences_of_2016() -> None:
    table = davis_categories()
    assert len(table) == 50
    assert {table[sequence] for sequence in ("car-roundabout", "drift-chicane")} == {"car"}
    assert table["blackswan"] == "swan"
    assert all(category.replace(" ", "").isalpha() for category in table.values())


def test_own_categories_come_before_ours(tmp_path: Path) -> None:
    write_davis_folder(tmp_path)
    write(tmp_path / "categories.csv", "sequence,category\ndog-agility,animal\n")
    assert {sample.category for sample in DavisSet(tmp_path).samples} == {"animal"}


def test_a_sequence_without_a_category_is_named(tmp_path: Path) -> None:
    write_davis_folder(tmp_path, sequence="lab-coat")
    with pytest.raises(InputError, match=r"the sequence lab-coat has no category to look for: name it in .*csv"):
        DavisSet(tmp_path)


def test_what_is_broken_in_davis_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no ImageSets/480p/val.txt"):
        DavisSet(tmp_path)
    write_davis_folder(tmp_path)
    mask = tmp_path / "Annotations/480p/dog-agility/00001.png"
    write(mask, encode_mask(rectangle(0, 0, 9, 9)[:-1]))
    data = DavisSet(tmp_path)
    with pytest.raises(InputError, match=r"mask of dog-agility/00001 is 23x32, its frame is 24x32 \(height x width\)"):
        data.read(data.samples[0])
    write(mask, b"broken")
    with pytest.raises(
        InputError, match=r"00001.png: expected a mask, got 6 bytes that no decoder reads; unpack DAVIS"
    ):
        DavisSet(tmp_path)
    mask.unlink()
    with pytest.raises(InputError, match=r"val.txt:2 names Annotations/480p/dog-agility/00001.png, which is not in"):
        DavisSet(tmp_path)
    write(tmp_path / "ImageSets/480p/val.txt", "blackswan\n")
    with pytest.raises(InputError, match=r"val.txt:1: expected `/JPEGImages/... /Annotations/...`, got `blackswan`"):
        DavisSet(tmp_path)


# Our own photos


def test_photos_have_their_classs_name_and_their_box(photo_sets: tuple[Path, Path]) -> None:
    with ImageSet(photo_sets[0]) as photos, ImageSet(photo_sets[1]) as given_masks:
        data = PhotoSet(photos, given_masks)
        assert isinstance(data, SegmentationSet)
        assert data.counts == {"images": 27, "images_without_object": 0, "samples": 27, "categories": 9}
        row, drawn = photos.split("val")[0], draw_photo(0, "val", 0)
        sample = data.samples[0]
        assert (sample.id, sample.category, sample.cluster) == (row.id, "dog", row.id)
        truth = data.read(sample)
        np.testing.assert_array_equal(truth.mask, drawn.mask)
        assert truth.box == Box(*(int(row.extra[edge]) for edge in ("x0", "y0", "x1", "y1")))


def test_masks_of_no_use_are_told(tmp_path: Path) -> None:
    drawn = [draw_photo(label, split, 0) for label in range(3) for split in ("train", "val")]
    photos, _ = write_sets(tmp_path, drawn)
    spoilt = {0: encode_mask(drawn[1].mask & False), 1: encode_mask(drawn[3].mask[:-1]), 2: b"broken"}
    rows = [one.row for one in drawn if one.row.split == "val"]
    members = [
        (Row(row.id, row.split, row.label, row.wnid, member_name(row.label, row.id, "png")), spoilt[row.label])
        for row in rows
    ]
    write_shard(tmp_path / "spoilt", shard_name("val", 0), members)
    finish_set(tmp_path / "spoilt")
    with ImageSet(photos) as photo_set, ImageSet(tmp_path / "spoilt") as given_masks:
        data = PhotoSet(photo_set, given_masks)
        for sample, reason in zip(data.samples, ("empty_truth", "size_mismatch", "unreadable_mask"), strict=True):
            with pytest.raises(UnusableTruth, match=reason):
                data.read(sample)


def test_photos_without_masks_have_no_sample(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    write_shard(tmp_path / "none", shard_name("val", 0), [])
    finish_set(tmp_path / "none")
    with ImageSet(photo_sets[0]) as photos, ImageSet(tmp_path / "none") as given_masks:
        data = PhotoSet(photos, given_masks)
        assert data.samples == ()
        assert data.counts == {"images": 27, "images_without_object": 27, "samples": 0, "categories": 0}
