"""Sets with true masks, as their official layouts hold them, whole and broken."""

import json
import re
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
from bgdata.fetch.segmentation import write_set_listing
from bgdata.geometry import Box
from bgdata.io import decode_palette, encode_jpeg, encode_mask, encode_palette
from bgdata.labels import IN9
from bgdata.masks.rle import decode_polygons, decode_rle, encode_polygons, encode_rle, encode_runs
from bgdata.segmentation_sets.base import Sample, SegmentationSet, UnusableTruth
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet, davis_categories
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.segmentation_sets.unusable import Unusable, write_unusable
from bgdata.segmentation_sets.voc import CATEGORIES, VOID, VocSet, voc_palette
from bgdata.shards import ImageSet, Row, finish_set, shard_name, write_shard
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
        (broken(lambda c: c["images"][0].pop("height")), r"4 of 5 are unusable \(broken_image 1, unknown_image 3\)"),
        (
            broken(lambda c: c["images"].append(3)),
            r"1 of 6 are unusable \(broken_image 1\).*image #2: expected id, file_name and size, got 3;",
        ),
        (broken(lambda c: c["annotations"][0].update(image_id=8)), "annotation 0: names image_id 8, which the file"),
        (broken(lambda c: c["annotations"][2].update(category_id=1)), "annotation 2: names category_id 1, which the"),
        (
            broken(lambda c: c["annotations"][0].update(segmentation="x")),
            'annotation 0: expected polygons or run lengths, got "x"',
        ),
        (broken(lambda c: c["annotations"].clear()), "none of its 2 images has an object, so nothing can be scored"),
        (
            broken(lambda c: c["images"][0].update(file_name="c.jpg")),
            r"3 of 5 are unusable \(missing_photo 3\).*annotation 2: its photo c.jpg is missing",
        ),
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
    with pytest.raises(
        InputError,
        match=r"instances_val2014.json is missing, or its photos: unpack .* a split that is there \(val2017\)",
    ):
        CocoSet(tmp_path, split="val2014")


def unusable_truth(data: SegmentationSet, reason: str, words: str) -> None:
    with pytest.raises(UnusableTruth) as raised:
        data.read(data.samples[-1])
    assert raised.value.reason == reason
    assert re.search(words, raised.value.detail)


def test_what_is_broken_in_a_sample_is_told_when_it_is_read(tmp_path: Path) -> None:
    data = CocoSet(write_coco_folder(tmp_path))
    write(tmp_path / "val2017/a.jpg", encode_jpeg(np.zeros((32, 24, 3), np.uint8), 90))
    unusable_truth(data, "size_mismatch", r"a.jpg is 32x24, its record says 24x32 \(height x width\)")
    write(tmp_path / "val2017/a.jpg", b"no photo")
    unusable_truth(data, "unreadable_photo", r"a.jpg: expected an image, got 8 bytes that no decoder reads")
    (tmp_path / "val2017/a.jpg").unlink()
    unusable_truth(data, "missing_photo", r"a.jpg cannot be read")


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "broken_polygon"),
        ({"segmentation": [[1, 1, 5, 5, NAN, 3]]}, "broken_polygon"),
        ({"segmentation": [[1, 1, 5, 5, 3, "3"]]}, "broken_polygon"),
        ({"segmentation": [[[1, 1], [5, 5], [3, 3]]]}, "broken_polygon"),
        ({"segmentation": []}, "no_segmentation"),
        ({"segmentation": None}, "no_segmentation"),
        ({"segmentation": {"size": [24, 32], "counts": [700]}}, "wrong_run_lengths"),
        ({"segmentation": {"size": [24, 32], "counts": "oo"}}, "wrong_run_lengths"),
        ({"segmentation": {"size": [-24, 32], "counts": [1]}}, "wrong_run_lengths"),
        ({"segmentation": [[40, 1, 50, 1, 50, 9]]}, "outside_photo"),
        ({"image_id": None}, "unknown_image"),
        ({"category_id": {}}, "unknown_category"),
    ],
)
def test_one_bad_annotation_is_counted_up_to_the_limit(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    contents = coco_contents()
    contents["annotations"][2] |= change
    root = write_coco_folder(tmp_path, contents)
    data = CocoSet(root, max_unusable=0.01)  # one alone passes
    assert [sample.id for sample in data.samples] == ["a/dog"]
    assert [(one.item, one.reason) for one in data.unusable] == [("annotation 2", reason)]
    with pytest.raises(InputError, match=rf"^[^\n]*val2017.json: 1 of 5 are unusable \({reason} 1\)[^\n]*share 0;"):
        CocoSet(root, max_unusable=0.0)


def test_a_truth_that_is_not_whole_is_not_scored(tmp_path: Path) -> None:
    contents = coco_contents()
    contents["annotations"][0]["segmentation"] = []
    root = write_coco_folder(tmp_path, contents)
    whole = {sample.id for sample in CocoSet(write_coco_folder(tmp_path / "whole")).samples}
    assert {sample.id for sample in CocoSet(root, max_unusable=0.5).samples} == whole - {"a/dog"}
    contents["annotations"][2]["segmentation"] = []
    write_coco_folder(tmp_path, contents)
    with pytest.raises(InputError, match="2 of 5 are unusable"):
        CocoSet(root, max_unusable=0.3)


def flat(contents: dict[str, Any]) -> None:
    contents["annotations"][0]["segmentation"] = contents["annotations"][0]["segmentation"][0]


def texts(contents: dict[str, Any]) -> None:
    for image in contents["images"]:
        image |= {"id": str(image["id"]), "height": float(image["height"]), "width": str(image["width"])}
    for annotation in contents["annotations"]:
        annotation |= {"category_id": str(annotation["category_id"]), "image_id": float(annotation["image_id"])}
        annotation.pop("iscrowd")


@pytest.mark.parametrize(
    "edit",
    [
        flat,
        texts,
        *(
            lambda c, name=name: c["images"][0].update(file_name=name)
            for name in ("./a.jpg", "A.JPG", "photos\\a.jpg", "http://host/x/a.jpg", "../val2017/a.jpg")
        ),
        lambda c: [image.update(height=None, width=None) for image in c["images"]],
        lambda c: (
            [one.update(id=0) for one in c["categories"][:1]]
            + [one.update(category_id=0) for one in c["annotations"][:2]]
        ),
        lambda c: [one.update(id=1) for one in c["annotations"]],
    ],
)
def test_what_other_tools_write_is_the_same_set(tmp_path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    expected = CocoSet(write_coco_folder(tmp_path / "plain"))
    data = CocoSet(write_coco_folder(tmp_path / "edited", broken(edit)))
    assert [sample.category for sample in data.samples] == ["cat", "dog"]
    assert data.counts == expected.counts
    for one, other in zip(data.samples, expected.samples, strict=True):
        np.testing.assert_array_equal(data.read(one).mask, expected.read(other).mask)


@pytest.mark.parametrize(
    ("annotations", "photos", "prefix", "name"),
    [
        ("valid/_annotations.coco.json", "valid", "", "coco/valid"),
        ("test/_annotations.coco.json", "test", "", "coco/test"),
        ("_annotations.coco.json", ".", "", "coco/set"),
        ("annotations/instances_default.json", "images", "", "coco/default"),
        ("annotations/instances_default.json", "images/default", "", "coco/default"),
        ("annotations/instances_validation.json", "validation", "", "coco/validation"),
        ("annotations/instances_Train.json", "images/Train", "", "coco/Train"),
        ("result.json", "images", "images\\", "coco/result"),
        ("labels.json", "data", "", "coco/labels"),
    ],
)
def test_layouts_of_other_tools_are_found(
    tmp_path: Path, annotations: str, photos: str, prefix: str, name: str
) -> None:
    root, contents = tmp_path / "set", coco_contents()
    for image in contents["images"]:
        write(root / photos / image["file_name"], PHOTO)
        image["file_name"] = prefix + image["file_name"]
    write(root / annotations, b"\xef\xbb\xbf" + json.dumps(contents).encode())
    data = CocoSet(root)
    assert (data.name, len(data.samples), data.unusable) == (name, 2, ())
    assert data.read(data.samples[0]).image.shape == (*SIZE, 3)
    assert write_set_listing("coco", root, tmp_path / "listing.csv") == 3


@pytest.mark.parametrize("name", ["x" * 5000 + ".jpg", "a\0.jpg", "..", "/"])
def test_names_that_no_disk_takes_are_missing_photos(tmp_path: Path, name: str) -> None:
    contents = broken(lambda c: c["images"][0].update(file_name=name))
    with pytest.raises(InputError, match=r"3 of 5 are unusable \(missing_photo 3\)"):
        CocoSet(write_coco_folder(tmp_path, contents))


def test_photos_of_one_stem_are_two(tmp_path: Path) -> None:
    contents = coco_contents()
    contents["images"][1]["file_name"] = "a.png"
    contents["annotations"][2]["image_id"] = 9
    root = write_coco_folder(tmp_path, contents)
    write(root / "val2017/a.png", PHOTO)
    assert [sample.id for sample in CocoSet(root).samples] == ["a.jpg/dog", "a.png/cat"]


def test_ids_that_stand_for_several_are_counted(tmp_path: Path) -> None:
    images = broken(lambda c: c["images"][1].update(id=7))
    with pytest.raises(InputError, match=r"3 of 5 are unusable \(ambiguous_image 3\)"):
        CocoSet(write_coco_folder(tmp_path, images))
    categories = broken(lambda c: c["categories"].append({"id": 17, "name": "fox"}))
    with pytest.raises(InputError, match=r"1 of 5 are unusable \(ambiguous_category 1\)"):
        CocoSet(write_coco_folder(tmp_path, categories))


def test_what_was_left_out_is_listed_once(tmp_path: Path) -> None:
    found = [Unusable("annotation 3", "broken_polygon", "two points, say"), Unusable("photo b", "missing_photo")]
    write_unusable(tmp_path / "a.csv", found + found)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines == ["item,reason,detail", 'annotation 3,broken_polygon,"two points, say"', "photo b,missing_photo,"]


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
        ("index\n11\n", r"expected the columns index,category in .*categories.csv, got index"),
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
    unusable_truth(VocSet(tmp_path), "size_mismatch", r"the mask of 2007_1 is 23x32, its photo is 24x32")
    mask.rename(tmp_path / "SegmentationClass/2007_1.PNG")
    write(tmp_path / "ImageSets/Segmentation/val.txt", b"\xef\xbb\xbf2007_1\r\n2007_2 \r\n\r\n")
    assert len(VocSet(tmp_path).samples) == 2
    (tmp_path / "SegmentationClass/2007_1.PNG").unlink()
    write(tmp_path / "SegmentationClass/2007_2.png", encode_palette(voc_mask(), voc_palette()))
    for contents, reason, words in (
        (b"", "unreadable_mask", r"2007_1.png: expected a palette PNG, got 0 bytes"),
        (b"broken", "unreadable_mask", r"2007_1.png: expected a palette PNG, got 6 bytes that no decoder reads"),
        (PHOTO, "unreadable_mask", r"2007_1.png: expected a palette PNG, got an image of the mode RGB"),
        (None, "missing_mask", r"SegmentationClass/2007_1.png is missing"),
    ):
        mask.unlink(missing_ok=True)
        if contents is not None:
            write(mask, contents)
        with pytest.raises(InputError, match=rf"1 of 2 are unusable \({reason} 1\).*{words}"):
            VocSet(tmp_path)
        data = VocSet(tmp_path, max_unusable=0.5)
        assert ([one.item for one in data.unusable], len(data.samples)) == (["photo 2007_1"], 2)
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
    (tmp_path / "Annotations/480p/dog-agility/00002.png").unlink()
    data = DavisSet(tmp_path, max_unusable=0.5)
    assert [(one.item, one.reason) for one in data.unusable] == [("photo dog-agility/00002", "missing_mask")]
    unusable_truth(data, "size_mismatch", r"mask of dog-agility/00001 is 23x32, its photo is 24x32 \(height x width\)")
    write(mask, b"broken")
    with pytest.raises(InputError, match=r"2 of 3 are unusable \(missing_mask 1, unreadable_mask 1\).*00001.png"):
        DavisSet(tmp_path, max_unusable=0.5)
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
        (Row(row.id, row.split, row.label, row.wnid, IN9.member_name(row.label, row.id, "png")), spoilt[row.label])
        for row in rows
    ]
    write_shard(tmp_path / "spoilt", shard_name("val", 0), members)
    finish_set(tmp_path / "spoilt", classes=IN9)
    with ImageSet(photos) as photo_set, ImageSet(tmp_path / "spoilt") as given_masks:
        data = PhotoSet(photo_set, given_masks)
        for sample, reason in zip(data.samples, ("empty_truth", "size_mismatch", "unreadable_mask"), strict=True):
            with pytest.raises(UnusableTruth, match=reason):
                data.read(sample)


def test_photos_without_masks_have_no_sample(photo_sets: tuple[Path, Path], tmp_path: Path) -> None:
    write_shard(tmp_path / "none", shard_name("val", 0), [])
    finish_set(tmp_path / "none", classes=IN9)
    with ImageSet(photo_sets[0]) as photos, ImageSet(tmp_path / "none") as given_masks:
        data = PhotoSet(photos, given_masks)
        assert data.samples == ()
        assert data.counts == {"images": 27, "images_without_object": 27, "samples": 0, "categories": 0}
