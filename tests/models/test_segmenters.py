"""Segmenters: found objects, given masks, and the set of masks that a photo set gives."""

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_mask, encode_mask
from bgdata.masks.metrics import iou
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.shards import ImageSet
from models.segmenters.base import Photo, Segmentation, read_photo
from models.segmenters.factory import build_segmenter
from models.segmenters.given import GivenMasks
from models.segmenters.grabcut import GrabCut
from models.segmenters.judging import judge_mask
from models.segmenters.run import segment_photos
from models.segmenters.settings import GrabCutSettings, SegmentJob
from tests.conftest import SIZE, TRAIN, VAL, TinyTree, draw_object, photo_id

CLEAN = CleanSettings(min_piece=0.02, max_hole=0.02, largest_only=False)
QUALITY = QualitySettings(min_box_share=0.1, max_photo_share=0.95)
GIVEN = SegmentJob(method="given", clean=CLEAN, quality=QUALITY)
GRABCUT = SegmentJob(method="grabcut", grabcut=GrabCutSettings(iterations=1), clean=CLEAN, quality=QUALITY)


def ingest(tree: TinyTree, work: Path, *, per_class: int | None = 2) -> tuple[Path, Path]:
    options = IngestSettings(
        filters=FilterSettings(require_box=True, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=per_class, val=per_class),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0.0,
        photos_per_shard=9,
    )
    found = find_tree(tree.root)
    ingest_photos(found, list_candidates(found), work, settings=options, seed=0, workers=1)
    return work / "photos", work / "given_masks"


@pytest.fixture(scope="module")
def sets(shared_tree: TinyTree, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sets `photos` and `given_masks` of the tiny tree."""
    return ingest(shared_tree, tmp_path_factory.mktemp("sets"))


def photo(image: np.ndarray, box: Box | None, image_id: str = "n1_1") -> Photo:
    return Photo(id=image_id, label=0, wnid="n1", image=image, box=box)


def segment(sets: tuple[Path, Path], work: Path, settings: SegmentJob = GIVEN, *, workers: int = 1) -> dict[str, Any]:
    return segment_photos(*sets, work, settings=settings, seed=0, workers=workers)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


# GrabCut


def test_grabcut_finds_an_object_within_its_box() -> None:
    image, truth = draw_object(np.random.default_rng(1))
    tight = mask_box(truth)
    box = Box(tight.x0 - 3, tight.y0 - 3, tight.x1 + 3, tight.y1 + 3)
    (answer,) = GrabCut(iterations=2, seed=0).segment([photo(image, box)])
    assert iou(answer.mask, truth) > 0.9
    outside = answer.mask.copy()
    outside[box.y0 : box.y1, box.x0 : box.x1] = False
    assert not outside.any()


def draw_glow(number: int) -> np.ndarray:
    """A red glow on smooth patches: it has no edge, so that the start decides where it is cut."""
    y, x = np.mgrid[:80, :80]
    rng = np.random.default_rng(number)
    image = cv2.resize(rng.integers(30, 130, (6, 6, 3), dtype=np.uint8), (80, 80)).astype(float)
    image[..., 0] += 80 * np.clip((24 - np.hypot(x - 40, y - 40)) / 14, 0, 1)
    return image.astype(np.uint8)


def test_grabcut_depends_on_the_photo_and_the_seed_alone() -> None:
    photos = [photo(draw_glow(n), Box(20, 20, 60, 60), f"n1_{n}") for n in range(3)]
    segmenter = GrabCut(iterations=1, seed=0)
    together = segmenter.segment(photos)
    cv2.setRNGSeed(99)
    alone = [segmenter.segment([one])[0] for one in reversed(photos)][::-1]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    reseeded = GrabCut(iterations=1, seed=1).segment(photos)
    assert any((one.mask != other.mask).any() for one, other in zip(together, reseeded, strict=True))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (None, "no_box"),
        (Box(0, 0, 50, 40), "no_background"),
        (Box(-5, -5, 60, 60), "no_background"),
        (Box(0, 0, 50, 39), None),
        (Box(10, 10, 10, 30), "box_too_small"),
        (Box(60, 10, 80, 30), "box_too_small"),
        (Box(48, 10, 80, 30), None),
    ],
)
@pytest.mark.parametrize("shade", [0, 255])
def test_grabcut_survives_any_box_on_a_photo_of_one_colour(box: Box | None, reason: str | None, shade: int) -> None:
    image = np.full((40, 50, 3), shade, np.uint8)
    (answer,) = GrabCut(iterations=1, seed=0).segment([photo(image, box)])
    assert answer.reason == reason
    assert (answer.mask is None) == (reason is not None)


# Given masks and the judgement


def test_given_masks_are_those_of_the_tree(sets: tuple[Path, Path], shared_tree: TinyTree) -> None:
    with ImageSet(sets[0]) as photos, ImageSet(sets[1]) as masks:
        row = photos.split("val")[0]
        (answer,) = GivenMasks(masks).segment([read_photo(photos, row)])
        label, number = row.label, next(n for n in range(VAL) if photo_id(row.label, n, "val") == row.id)
        np.testing.assert_array_equal(answer.mask, decode_mask(shared_tree.mask(label, number, "val").read_bytes()))


def test_a_method_without_what_it_needs_says_so(tmp_path: Path, tiny_tree: TinyTree) -> None:
    (tiny_tree.root / "masks").rename(tmp_path / "elsewhere")
    _, given = ingest(tiny_tree, tmp_path / "work")
    with pytest.raises(InputError, match=r"segment.method is `given`, but no mask came with the data: put them into"):
        build_segmenter(GIVEN, seed=0, given=ImageSet(given))
    with pytest.raises(InputError, match=r"segment.grabcut is missing"):
        build_segmenter(SegmentJob(method="grabcut", clean=CLEAN, quality=QUALITY), seed=0)


def test_a_mask_is_cleaned_before_it_is_judged() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    mask[15, 15] = False
    judged = judge_mask(photo(np.zeros((40, 40, 3), np.uint8), Box(10, 10, 30, 30)), Segmentation(mask, 0.5), GRABCUT)
    assert judged.mask.sum() == 400
    assert (judged.score, judged.reason) == (0.5, None)


def test_a_segmenters_mask_of_another_size_is_named() -> None:
    answer = Segmentation(np.ones((30, 40), bool))
    with pytest.raises(InputError, match=r"mask n1_1 is 30x40, its image is 40x30"):
        judge_mask(photo(np.zeros((40, 30, 3), np.uint8), None), answer, GRABCUT)


# The set of masks


def test_each_photo_gets_a_mask_of_its_size(sets: tuple[Path, Path], tmp_path: Path) -> None:
    manifest = segment(sets, tmp_path)
    assert (manifest["method"], manifest["rejected"], manifest["photos"]) == ("given", {}, 36)
    with ImageSet(sets[0]) as photos, ImageSet(tmp_path / "masks") as masks:
        assert [row.id for row in masks.rows] == [row.id for row in photos.rows]
        for row, photo_row in zip(masks.rows, photos.rows, strict=True):
            assert (row.shard, row.name) == (photo_row.shard, photo_row.name.replace(".JPEG", ".png"))
            assert row.extra == {"method": "given", "score": ""}
            assert decode_mask(masks.read(row)).shape == read_photo(photos, photo_row).image.shape[:2]


def test_two_workers_give_the_bytes_of_one(sets: tuple[Path, Path], tmp_path: Path) -> None:
    for workers in (1, 2):
        segment(sets, tmp_path / str(workers), GRABCUT, workers=workers)
    assert files(tmp_path / "1/masks") == files(tmp_path / "2/masks")


def test_each_unusable_mask_is_left_out_with_its_reason(tiny_tree: TinyTree, tmp_path: Path) -> None:
    whole = np.ones(SIZE, bool)
    tiny_tree.mask(0, 0).write_bytes(encode_mask(whole[:-1]))
    tiny_tree.mask(1, 0).write_bytes(encode_mask(~whole))
    tiny_tree.mask(2, 0).write_bytes(encode_mask(whole))
    tiny_tree.mask(3, 0).write_bytes(b"broken")
    tiny_tree.mask(4, 0).unlink()
    tiny_tree.mask(5, 0).write_bytes(encode_mask(np.eye(*SIZE, dtype=bool)))
    tiny_tree.mask(6, 0).write_bytes(encode_mask(~decode_mask(tiny_tree.mask(6, 0).read_bytes())))
    tiny_tree.mask(7, 0).write_bytes(
        cv2.imencode(".png", np.tri(*SIZE, dtype=np.uint8) + np.tri(*SIZE, -9, np.uint8))[1]
    )
    manifest = segment(ingest(tiny_tree, tmp_path / "all", per_class=None), tmp_path)
    reasons = ["size_mismatch", "empty", "too_large", "unreadable_mask", "no_given_mask", "too_small"]
    reasons += ["inverted_mask", "ambiguous_mask"]
    assert manifest["rejected"] == dict.fromkeys(sorted(reasons), 1)
    with (tmp_path / "masks/rejected.csv").open(newline="") as file:
        found = {cells["id"]: cells["reason"] for cells in csv.DictReader(file)}
    assert found == {photo_id(label, 0): reason for label, reason in enumerate(reasons)}
    assert sum(manifest["images"]["train"].values()) + len(reasons) == 9 * TRAIN


def test_a_killed_run_goes_on_with_its_rejections(
    tiny_tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_tree.mask(0, 0).write_bytes(encode_mask(np.zeros(SIZE, bool)))
    sets = ingest(tiny_tree, tmp_path / "sets", per_class=None)
    segment(sets, tmp_path / "whole")
    calls = 0

    def die(*arguments: Any) -> Segmentation:
        nonlocal calls
        calls += 1
        if calls > 15:
            raise KeyboardInterrupt
        return judge_mask(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("models.segmenters.run.judge_mask", die)
        segment(sets, tmp_path / "killed")
    assert [path.name for path in (tmp_path / "killed/masks").glob("*.tar")] == ["train-00000.tar"]
    written = (tmp_path / "killed/masks/train-00000.tar").stat().st_mtime_ns
    segment(sets, tmp_path / "killed")
    assert (tmp_path / "killed/masks/train-00000.tar").stat().st_mtime_ns == written
    whole, killed = files(tmp_path / "whole/masks"), files(tmp_path / "killed/masks")
    assert whole == {name: data for name, data in killed.items() if not name.endswith(".tmp")}
    assert json.loads(whole["manifest.json"])["rejected"] == {"empty": 1}


@pytest.mark.parametrize(("spoilt", "words"), [(1, "a single mask"), (2, "no mask")])
def test_a_class_left_with_too_few_masks_is_named(tiny_tree: TinyTree, tmp_path: Path, spoilt: int, words: str) -> None:
    for number in range(spoilt + VAL - 2):
        tiny_tree.mask(7, number, "val").write_bytes(encode_mask(np.zeros(SIZE, bool)))
    sets = ingest(tiny_tree, tmp_path / "sets", per_class=None)
    message = rf"class 07_primate has {words} in val, expected at least 2 \(rejected: empty {spoilt + 1}\): add photos"
    with pytest.raises(InputError, match=message):
        segment(sets, tmp_path)
