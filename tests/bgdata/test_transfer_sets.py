"""Sets of the transfer tasks: what they read, and what they say of what they cannot."""

import contextlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pydantic import ValidationError

from bgdata.corrupt.names import SMALLEST
from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg, encode_png
from bgdata.labels import CLASS_NAMES
from bgdata.synthetic.layouts import write_coco, write_scenes
from bgdata.transfer_sets.base import BACKGROUND, VOID, TaskSet, digest_of
from bgdata.transfer_sets.cifar10 import Cifar10
from bgdata.transfer_sets.classification import FolderPhotos
from bgdata.transfer_sets.coco import CocoDetection, coco_truth
from bgdata.transfer_sets.opening import OPENERS, open_task_set
from bgdata.transfer_sets.semantic import PaintedObjects
from bgdata.transfer_sets.semantic_layouts import open_ade20k, open_voc
from bgdata.transfer_sets.settings import TransferSetSettings
from tests.bgdata.transfer_folders import (
    CIFAR_NAMES,
    SIZE,
    cifar_values,
    coco_contents,
    photo,
    python2_pickle,
    rectangle,
    write,
    write_ade_folder,
    write_cifar_folder,
    write_coco_folder,
    write_voc_folder,
)
from tests.conftest import ROOT

COCO8 = ROOT.parent / "shared" / "data" / "coco8"
needs_coco8 = pytest.mark.skipif(not COCO8.is_dir(), reason="shared/data/coco8 is not on this machine")
SCENES = {"train": 12, "val": 11, "size": 96, "difficulty": 0.3}


def settings_of(layout: str, **values: Any) -> TransferSetSettings:
    if layout == "scenes":
        return TransferSetSettings(layout="scenes", source="synthetic", scenes=SCENES, **values)
    return TransferSetSettings.model_validate({"layout": layout, "source": "local"} | values)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, **SCENES, seed=3)
    return root


# Detection


def test_coco_gives_objects_as_annotated_and_categories_in_the_files_order(tmp_path: Path) -> None:
    data = CocoDetection(write_coco_folder(tmp_path), split="val")
    assert isinstance(data, TaskSet)
    assert (data.name, data.task, data.split) == ("coco/val2017", "detection", "val")
    assert data.categories == ("dog", "bird", "cat")
    assert (data.ids, data.unusable) == (("7", "9", "8"), ())
    found = data.read("7")
    assert [(one.label, one.box, one.crowd) for one in found.instances] == [
        (0, (10.0, 10.0, 20.0, 20.0), False),
        (2, (5.5, 5.0, 40.0, 30.0), False),
    ]
    np.testing.assert_array_equal(found.instances[1].mask, rectangle(5, 5, 40, 30))
    np.testing.assert_array_equal(found.image, decode_image(photo(7)))
    (crowd,) = data.read("9").instances
    assert (crowd.crowd, crowd.mask.sum()) == (True, 30 * 20)
    assert data.read("8").instances == ()


def test_a_missing_box_is_the_masks_and_a_mask_may_be_empty(tmp_path: Path) -> None:
    contents = coco_contents()
    del contents["annotations"][0]["bbox"]
    contents["annotations"][1]["segmentation"] = [[5, 5, 5, 5, 5, 5]]
    first, second = CocoDetection(write_coco_folder(tmp_path, contents), split="val").read("7").instances
    assert first.box == (10.0, 10.0, 20.0, 20.0)
    assert (second.box, second.mask.any()) == ((5.5, 5.0, 40.0, 30.0), np.False_)


def test_categories_of_one_name_are_one(tmp_path: Path) -> None:
    contents = coco_contents()
    contents["categories"].append({"id": 40, "name": "dog"})
    contents["annotations"][1]["category_id"] = 40
    data = CocoDetection(write_coco_folder(tmp_path, contents), split="val")
    assert data.categories == ("dog", "bird", "cat")
    assert [one.label for one in data.read("7").instances] == [0, 0]


def edited(edit: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    contents = coco_contents()
    edit(contents)
    return contents


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (
            edited(lambda c: [one.pop("segmentation") for one in c["annotations"]]),
            r"3 of 6 are unusable \(no_segmentation 3\), the set's max_unusable allows the share 0; the first is "
            r"annotation 0: has no segmentation \(a box alone is no mask\)",
        ),
        (
            edited(lambda c: c["annotations"][1].update(bbox=[1, 1, 0, 5])),
            r"broken_box 1.*annotation 1: its bbox is \[1, 1, 0, 5\], expected x, y, width and height of more than 0",
        ),
        (edited(lambda c: c["annotations"][1].update(bbox=[1, 1, True])), r"its bbox is \[1, 1, True\], expected x"),
        (edited(lambda c: c["annotations"][1].update(category_id=3)), r"names category_id 3, which the file does not"),
        (edited(lambda c: c["images"].append({"id": 3, "file_name": "3.jpg", "height": 1, "width": 1})),
         r"missing_photo 1.*image 3: its photo 3.jpg is missing"),
        (edited(lambda c: c.update(images=[], annotations=[])), "has no photo that can be used: fetch the set again"),
        ([], "has no list `images`"),
    ],
)  # fmt: skip
def test_a_coco_file_of_no_use_is_named(tmp_path: Path, contents: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        CocoDetection(write_coco_folder(tmp_path, contents), split="val")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one.pop("segmentation"),
        lambda one: one.update(bbox="x"),
        lambda one: one.update(category_id=99),
    ],
)
def test_a_photo_whose_truth_is_not_whole_is_left_out_and_listed(tmp_path: Path, edit: Callable[[Any], Any]) -> None:
    contents = edited(lambda c: edit(c["annotations"][0]))
    data = CocoDetection(write_coco_folder(tmp_path, contents), split="val", max_unusable=0.2)
    assert data.ids == ("9", "8")
    assert [one.item for one in data.unusable] == ["annotation 0"]


def test_a_photo_that_goes_breaks_or_changes_is_named(tmp_path: Path) -> None:
    data = CocoDetection(write_coco_folder(tmp_path), split="val")
    write(tmp_path / "val2017/7.jpg", b"no photo")
    with pytest.raises(InputError, match=r"7.jpg: expected an image, got 8 bytes that no decoder reads; fetch the set"):
        data.read("7")
    write(tmp_path / "val2017/7.jpg", photo(7, (40, 64)))
    with pytest.raises(InputError, match=r"7.jpg is 40x64, its record in instances_val2017.json says 48x64 \(height"):
        data.read("7")
    (tmp_path / "val2017/7.jpg").unlink()
    with pytest.raises(InputError, match=r"7.jpg cannot be read \(No such file or directory\): fetch the set again"):
        data.read("7")
    with pytest.raises(InputError, match=r"7.jpg cannot be read"):
        _ = data.digest


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no COCO folder: expected annotations/instances_<split>.json"):
        CocoDetection(tmp_path, split="train")
    write_coco_folder(tmp_path)
    with pytest.raises(InputError, match=r"has no split train \(it has val2017\): unpack COCO's annotations/instances"):
        CocoDetection(tmp_path, split="train")
    assert CocoDetection(write_coco_folder(tmp_path, split="train2017"), split="train").name == "coco/train2017"


def test_the_digest_is_of_annotations_and_photos(tmp_path: Path) -> None:
    digests = set()
    for number in range(4):
        root = write_coco_folder(tmp_path / str(number))
        annotations = root / "annotations/instances_val2017.json"
        if number == 1:
            write(root / "val2017/9.jpg", photo(9) + b"\xff\xd9")
        if number == 2:
            write(annotations, json.dumps(edited(lambda c: c["annotations"][0].update(iscrowd=1))))
        digests.add(CocoDetection(root, split="val").digest)
    assert len(digests) == 3
    assert digest_of(["a", "b"]) != digest_of(["ab"])


def evaluated(truth: dict[str, Any], found: list[dict[str, Any]], kind: str) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = json.loads(json.dumps(truth))
        data.createIndex()
        judge = COCOeval(data, data.loadRes([dict(one) for one in found]), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[:3]


@needs_coco8
@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_truth_for_pycocotools_is_worth_the_file(kind: str) -> None:
    data = CocoDetection(COCO8, split="val")
    images = [data.read(image_id) for image_id in data.ids]
    assert len(data.categories) == 80
    assert sum(len(image.instances) for image in images) == 13
    rng = np.random.default_rng(0)
    file = json.loads((COCO8 / "annotations/instances_val2017.json").read_text())
    ids = {image["id"]: number for number, image in enumerate(file["images"], start=1)}
    labels = {category["id"]: number for number, category in enumerate(file["categories"], start=1)}
    theirs = []
    for one in file["annotations"]:
        size = next((image["height"], image["width"]) for image in file["images"] if image["id"] == one["image_id"])
        mask = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(one["segmentation"], *size)))
        moved = np.roll(mask, int(rng.integers(0, 25)), axis=1)
        found = {"image_id": one["image_id"], "category_id": one["category_id"], "score": float(rng.random())}
        box = (np.array(one["bbox"]) + rng.uniform(-15, 15, 4)).tolist()
        theirs.append(
            found | ({"bbox": box} if kind == "bbox" else {"segmentation": coco_mask.encode(np.asfortranarray(moved))})
        )
    ours = [one | {"image_id": ids[one["image_id"]], "category_id": labels[one["category_id"]]} for one in theirs]
    expected = evaluated(file, theirs, kind)
    assert 0 < expected[0] < 1
    np.testing.assert_allclose(evaluated(coco_truth(images, data.categories), ours, kind), expected, atol=1e-9)


# Segmentation


def test_objects_are_painted_by_area_so_that_none_hides_a_smaller_one(tmp_path: Path) -> None:
    data = PaintedObjects(CocoDetection(write_coco_folder(tmp_path), split="val"))
    assert isinstance(data, TaskSet)
    assert (data.task, data.categories) == ("segmentation", (BACKGROUND, "dog", "bird", "cat"))
    labels = data.read("7").labels
    expected = rectangle(5, 5, 40, 30) * 3
    expected[rectangle(10, 10, 20, 20)] = 1  # the dog, first in the file
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(data.read("9").labels, rectangle(30, 20, 60, 40))
    assert not data.read("8").labels.any()


def test_more_categories_than_a_mask_tells_apart_are_refused(tmp_path: Path) -> None:
    contents = edited(lambda c: c.update(categories=[{"id": n, "name": f"c{n}"} for n in range(255)]))
    with pytest.raises(InputError, match=r"coco/val2017 has 255 categories, expected 254 at most"):
        PaintedObjects(CocoDetection(write_coco_folder(tmp_path, contents), split="val"))


def indices(*values: int) -> np.ndarray:
    return np.tile(np.array(values, np.uint8), (48, 64 // len(values)))


def test_vocs_indices_are_the_labels_and_255_is_void(tmp_path: Path) -> None:
    mask = indices(0, 1, 20, 255)
    data = open_voc(write_voc_folder(tmp_path, mask), split="train")
    assert (data.name, data.ids, len(data.categories)) == ("voc/train", ("2012_1",), 21)
    assert (data.categories[0], data.categories[20]) == (BACKGROUND, "tv monitor")
    np.testing.assert_array_equal(data.read("2012_1").labels, mask)


def test_vocs_own_categories_get_labels_in_their_order(tmp_path: Path) -> None:
    root = write_voc_folder(tmp_path, indices(0, 9, 4, 255))
    table = write(root / "VOCdevkit/VOC2012/categories.csv", "index,category\n9,cat\n4,dog\n")
    data = open_voc(root, split="val")
    assert data.categories == (BACKGROUND, "cat", "dog")
    np.testing.assert_array_equal(data.read("2012_2").labels, indices(0, 1, 2, 255))
    for index in ("x", "255", "0", "-1", "²"):
        write(table, f"index,category\n{index},cat\n")
        with pytest.raises(InputError, match="the column index must hold numbers from 1 to 254"):
            open_voc(root, split="val")


def test_ades_zero_is_void_and_one_is_the_first_class(tmp_path: Path) -> None:
    names = ("wall", "building, edifice", "sky")
    root = write_ade_folder(tmp_path, indices(0, 1, 2, 3), names=names)
    for place in (root, root / "ADEChallengeData2016"):
        data = open_ade20k(place, split="val")
        assert (data.name, data.ids, data.categories) == ("ade20k/val", ("ADE_val_00000001",), names)
        np.testing.assert_array_equal(data.read("ADE_val_00000001").labels, indices(VOID, 0, 1, 2))
    assert open_ade20k(root, split="train").ids == ("ADE_train_00000001",)


@pytest.mark.parametrize(
    ("make", "name"), [(write_ade_folder, "ade20k/val"), (write_voc_folder, "voc/val")], ids=["ade20k", "voc"]
)
def test_a_label_beyond_the_classes_is_named(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    root = make(tmp_path, indices(0, 1, 2, 200))
    data = (open_ade20k if name.startswith("ade") else open_voc)(root, split="val")
    with pytest.raises(InputError, match=rf"\.png holds the index 200, which is none of the \d+ classes of {name} \("):
        data.read(data.ids[0])


def test_a_mask_of_another_size_or_kind_is_named(tmp_path: Path) -> None:
    data = open_ade20k(write_ade_folder(tmp_path, indices(0, 1)), split="val")
    mask = tmp_path / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png"
    write(mask, encode_png(np.zeros((48, 64, 3), np.uint8)))
    with pytest.raises(InputError, match=r"_00000001.png: expected a palette PNG, got an image of the mode RGB"):
        data.read("ADE_val_00000001")
    write(tmp_path / "ADEChallengeData2016/images/validation/ADE_val_00000001.jpg", photo(1, (40, 40)))
    write_mask = write_ade_folder(tmp_path / "other", indices(0, 1)) / "ADEChallengeData2016/annotations/validation"
    mask.write_bytes((write_mask / "ADE_val_00000001.png").read_bytes())
    with pytest.raises(InputError, match=r"00000001.jpg is 40x40, its mask ADE_val_00000001.png says 48x64"):
        data.read("ADE_val_00000001")


def test_ade_of_another_layout_or_not_whole_is_named(tmp_path: Path) -> None:
    write(tmp_path / "full/images/ADE/training/a/ADE_train_1_seg.png", b"")
    with pytest.raises(
        InputError, match=r"full is not ADE20K's public release: expected ADEChallengeData2016/ with images/validation"
    ):
        open_ade20k(tmp_path / "full", split="val")
    root = write_ade_folder(tmp_path, indices(0, 1))
    (root / "ADEChallengeData2016/annotations/validation/ADE_val_00000001.png").unlink()
    with pytest.raises(
        InputError, match=r"1 of 1 are unusable \(missing_mask 1\).*ADE_val_00000001: its mask is missi"
    ):
        open_ade20k(root, split="val")
    with pytest.raises(InputError, match=r"has no photo with a mask: fetch the set again"):
        open_ade20k(root, split="val", max_unusable=1.0)
    for table, words in (
        ("Idx\tName\n2\twall\n", "does not number its classes 1, 2, 3"),
        ("Idx\tName\n1\t \n", "each with a name"),
        ("Idx\tName\n" + "".join(f"{n}\tc{n}\n" for n in range(1, 256)), "has 255 classes, expected 254 at most"),
        ("1 wall\n", "expected the columns Idx,Name"),
    ):
        write(root / "ADEChallengeData2016/objectInfo150.txt", table)
        with pytest.raises(InputError, match=words):
            open_ade20k(root, split="train")


# Classification


@pytest.mark.parametrize(("is_binary", "is_python2"), [(False, True), (False, False), (True, True)])
def test_cifar_gives_what_was_packed(tmp_path: Path, is_binary: bool, is_python2: bool) -> None:
    root = write_cifar_folder(tmp_path, is_binary=is_binary, is_python2=is_python2)
    for split, batches in (("train", range(1, 6)), ("val", [0])):
        data = Cifar10(root, split=split)
        assert isinstance(data, TaskSet)
        assert (data.categories, len(data.ids)) == (tuple(CIFAR_NAMES), 4 * len(batches))
        for batch in batches:
            values, labels = cifar_values(batch)
            name = f"data_batch_{batch}" if batch else "test_batch"
            for number in range(4):
                found = data.read(f"{name}-{number:05d}")
                assert found.label == labels[number]
                np.testing.assert_array_equal(found.image[5, 7], values[number].reshape(3, 32, 32)[:, 5, 7])
    assert Cifar10(next(root.glob("cifar*")), split="val").digest == data.digest


def test_a_pickle_by_columns_is_read_as_it_is_meant(tmp_path: Path) -> None:
    root = write_cifar_folder(tmp_path)
    values, labels = cifar_values(0)
    content = {b"data": np.asfortranarray(values), b"labels": labels}
    write(root / "cifar-10-batches-py/test_batch", python2_pickle(content))
    image = Cifar10(root, split="val").read("test_batch-00002").image
    np.testing.assert_array_equal(image, values[2].reshape(3, 32, 32).transpose(1, 2, 0))


class Hostile:
    """Makes a file as soon as a plain unpickler meets it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_hostile_pickle_runs_nothing_and_is_named(tmp_path: Path) -> None:
    root, made = write_cifar_folder(tmp_path), tmp_path / "made"
    write(root / "cifar-10-batches-py/test_batch", pickle.dumps({b"data": Hostile(made)}, 2))
    with pytest.raises(
        InputError, match=r"test_batch: the pickle names \S+, which no batch of CIFAR-10 holds, so do no"
    ):
        Cifar10(root, split="val")
    assert not made.exists()
    system = b"cos\nsystem\n(S'true'\ntR."
    write(root / "cifar-10-batches-py/batches.meta", system)
    with pytest.raises(InputError, match=r"batches.meta: the pickle names os.system, which no batch"):
        Cifar10(root, split="train")


def reshaped(old: bytes, new: bytes) -> bytes:
    """A batch of one image whose array claims another number of rows."""
    data = python2_pickle({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]})
    shape = old + b"M\x00\x0c\x86"
    assert data.count(shape) == 1
    return data.replace(shape, new + shape[len(old) :])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected a pickle of CIFAR-10, and it is none"),
        (python2_pickle({b"data": cifar_values(0)[0]})[:-500], "expected a pickle of CIFAR-10, and it is none"),
        (reshaped(b"K\x01", b"J\xff\xff\xff\xff"), "expected an array of uint8 of two axes"),
        (reshaped(b"K\x01", b"N"), "expected an array of uint8 of two axes"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "expected a pickle of CIFAR-10, and it is none"),
        (python2_pickle([1]), "expected a pickle of CIFAR-10, it holds a list"),
        (python2_pickle({b"data": b"x", b"labels": []}), "expected a batch of CIFAR-10 with data and labels"),
        (python2_pickle({b"data": np.zeros((1, 3072), np.float32), b"labels": [1]}), "expected an array of uint8"),
        (python2_pickle({b"data": np.zeros(3072, np.uint8), b"labels": [1]}), "expected an array of uint8 of two axes"),
        (python2_pickle({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), r"holds 1 labels and images of the"),
        (
            python2_pickle({b"data": np.zeros((1, 3000), np.uint8), b"labels": [1]}),
            r"shape \(1, 3000\), expected label",
        ),
        (python2_pickle({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}), "expected labels from 0 to 9"),
    ],
)
def test_a_batch_that_is_none_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = write(write_cifar_folder(tmp_path) / "cifar-10-batches-py/test_batch", data)
    with pytest.raises(InputError, match=words) as raised:
        Cifar10(tmp_path, split="val")
    assert str(path) in str(raised.value)


def test_cifar_that_is_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no CIFAR-10: expected cifar-10-batches-py or cifar-10-batches-bin in it"
    ):
        Cifar10(tmp_path, split="val")
    root = write_cifar_folder(tmp_path / "py")
    (root / "cifar-10-batches-py/data_batch_3").unlink()
    assert len(Cifar10(root, split="val").ids) == 4
    with pytest.raises(InputError, match=r"cifar-10-batches-py is not whole, data_batch_3 is missing: fetch CIFAR-10"):
        Cifar10(root, split="train")
    write(root / "cifar-10-batches-py/batches.meta", python2_pickle({b"label_names": [b"cat"]}))
    with pytest.raises(InputError, match=r"batches.meta names 1 classes, expected 10"):
        Cifar10(root, split="val")
    write(root / "cifar-10-batches-py/batches.meta", python2_pickle({b"names": [b"cat"]}))
    with pytest.raises(InputError, match=r"batches.meta has no label_names"):
        Cifar10(root, split="val")
    (root / "cifar-10-batches-py/batches.meta").unlink()
    with pytest.raises(InputError, match=r"cifar-10-batches-py is not whole, batches.meta is missing"):
        Cifar10(root, split="val")
    root = write_cifar_folder(tmp_path / "bin", is_binary=True)
    for data in (b"x" * 3072, b""):
        write(root / "cifar-10-batches-bin/test_batch.bin", data)
        with pytest.raises(InputError, match=rf"{len(data)} bytes are no whole number of records of 3073"):
            Cifar10(root, split="val")
    with (root / "cifar-10-batches-bin/test_batch.bin").open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(InputError, match=r"it has 67108865 bytes, a batch of CIFAR-10 has at most 67108864"):
        Cifar10(root, split="val")


def write_folder(root: Path) -> Path:
    for split in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                data = photo(10 * label + number)
                pixels = decode_image(data)
                write(root / split / name / f"{number}.png", encode_png(pixels) if number else encode_jpeg(pixels, 90))
    return root


def test_class_folders_keep_their_split_and_names(tmp_path: Path) -> None:
    data = FolderPhotos(write_folder(tmp_path), split="val", val_share=0.5, seed=0)
    assert isinstance(data, TaskSet)
    assert (data.name, data.categories, len(data.ids)) == ("folder/val", ("cat", "dog"), 6)
    assert sorted(data.read(image_id).label for image_id in data.ids) == [0, 0, 0, 1, 1, 1]
    assert all(data.read(image_id).image.shape == (*SIZE, 3) for image_id in data.ids)
    assert data.digest != FolderPhotos(tmp_path, split="train", val_share=0.5, seed=0).digest
    (image_id,) = [image_id for image_id in data.ids if image_id.startswith("1") and data.read(image_id).label]
    write(tmp_path / "val/dog/1.png", b"<html>")
    with pytest.raises(InputError, match=r"val/dog/1.png: expected an image, and it is a web page"):
        data.read(image_id)


def test_class_folders_that_are_not_split_are_by_seed(tmp_path: Path) -> None:
    root = write_folder(tmp_path) / "train"
    splits = [set(FolderPhotos(root, split=split, val_share=0.6, seed=0).ids) for split in ("train", "val")]
    assert splits[0] and splits[1] and not splits[0] & splits[1] and len(splits[0] | splits[1]) == 6
    with pytest.raises(InputError, match=r"has no photo in val: add some, or change val_share"):
        FolderPhotos(root, split="val", val_share=1e-9, seed=1)


# Scenes, and opening by layout


def test_scenes_serve_all_three_tasks_and_share_no_scene(scenes: Path) -> None:
    settings = settings_of("scenes")
    for task in OPENERS:
        train, val = (open_task_set(task, settings, root=scenes, split=split) for split in ("train", "val"))
        assert (train.name, val.name, val.task, val.split) == ("scenes/train2017", "scenes/val2017", task, "val")
        assert not set(train.ids) & set(val.ids)
        assert train.digest != val.digest
        assert set(val.categories) - {BACKGROUND} == set(CLASS_NAMES)
    detection = open_task_set("detection", settings, root=scenes, split="train")
    assert len(detection.ids) == 12
    found = [detection.read(image_id) for image_id in detection.ids]
    assert any(one.crowd for image in found for one in image.instances)
    assert not found[-1].instances


def test_the_val_scenes_are_those_of_the_set_that_segmenters_are_judged_on(scenes: Path, tmp_path: Path) -> None:
    write_coco(tmp_path, images=11, size=96, difficulty=0.3, seed=3)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 12
    assert all((tmp_path / file).read_bytes() == (scenes / file).read_bytes() for file in files)


def test_crops_show_single_objects_in_their_own_resolution(scenes: Path) -> None:
    settings = settings_of("scenes")
    objects = open_task_set("detection", settings, root=scenes, split="train")
    crops = open_task_set("classification", settings, root=scenes, split="train")
    singles = [(image_id, one) for image_id in objects.ids for one in objects.read(image_id).instances if not one.crowd]
    assert len(crops.ids) == len(singles)
    for crop_id, (image_id, one) in zip(crops.ids, singles, strict=True):
        crop, whole = crops.read(crop_id), objects.read(image_id).image
        assert crop.label == one.label
        assert min(crop.image.shape[:2]) >= SMALLEST
        x0, y0, x1, y1 = one.box
        side = max(SMALLEST, round(max(x1 - x0, y1 - y0) / 0.75))
        assert crop.image.shape[:2] == (min(side, whole.shape[0]), min(side, whole.shape[1]))
        shown = [cut for cut in crop.instances if cut.mask.sum() == one.mask.sum() and cut.label == one.label]
        assert any(np.array_equal(crop.image[cut.mask], whole[one.mask]) for cut in shown)
        assert all(0 <= cut.box[0] <= cut.box[2] <= crop.image.shape[1] for cut in crop.instances)


def test_what_is_no_task_split_or_set_of_a_task_is_named(tmp_path: Path) -> None:
    voc = settings_of("voc")
    for task, split, words in (
        ("depth", "val", r"'depth' is no task: give one of detection, segmentation, classification"),
        ("segmentation", "test", r"'test' is no split: give one of train, val"),
        ("detection", "val", r"'voc' is no set of detection: give one of coco, scenes"),
    ):
        with pytest.raises(InputError, match=words):
            open_task_set(task, voc, root=tmp_path, split=split)
    with pytest.raises(InputError, match=r"nowhere is no folder: fetch the set, or name the folder into which it is"):
        open_task_set("segmentation", voc, root=tmp_path / "nowhere", split="val")


def test_each_layout_opens_for_its_tasks(tmp_path: Path) -> None:
    roots = {
        "coco": write_coco_folder(tmp_path / "coco"),
        "voc": write_voc_folder(tmp_path / "voc", indices(0, 1)),
        "ade20k": write_ade_folder(tmp_path / "ade", indices(0, 1)),
        "cifar10": write_cifar_folder(tmp_path / "cifar"),
        "folder": write_folder(tmp_path / "folder"),
    }
    for task, openers in OPENERS.items():
        for layout in openers.keys() - {"scenes"}:
            settings = settings_of(layout, **({"val_share": 0.5} if layout == "folder" else {}))
            data = open_task_set(task, settings, root=roots[layout], split="val", seed=1)
            assert (data.task, data.split) == (task, "val")
            found = data.read(data.ids[0])
            truth = {"detection": found.instances, "segmentation": found.labels, "classification": found.label}
            assert truth[task] is not None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layout": "imagenet", "source": "local"}, "'coco', 'voc', 'ade20k', 'cifar10', 'folder' or 'scenes'"),
        ({"layout": "coco", "source": "synthetic"}, "scenes are synthetic, and nothing else is"),
        ({"layout": "scenes", "source": "local", "scenes": SCENES}, "scenes are synthetic, and nothing else is"),
        ({"layout": "scenes", "source": "synthetic"}, "scenes must have the section `scenes`, and nothing else may"),
        ({"layout": "coco", "source": "local", "scenes": SCENES}, "scenes must have the section `scenes`"),
        ({"layout": "folder", "source": "local"}, "folder must have val_share, and nothing else may"),
        ({"layout": "folder", "source": "download", "val_share": 0.2}, "class folders have no publisher, take local"),
        ({"layout": "coco", "source": "local", "max_unusable": 2.0}, "less than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_their_layout_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TransferSetSettings.model_validate(values)
