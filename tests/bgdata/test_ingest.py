"""Ingest: the ILSVRC tree, the filters, and the sets that come of them."""

import csv
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgdata.errors import InputError
from bgdata.geometry import Box, CentreCrop
from bgdata.ingest.candidates import Candidate, find_gone, write_listing
from bgdata.ingest.filters import (
    Finding,
    balance,
    box_outside_crop,
    box_too_large,
    drop_duplicates,
    exclude,
    read_excluded,
)
from bgdata.ingest.ilsvrc import find_tree, list_candidates, parse_annotation
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_image, decode_mask, encode_jpeg, encode_mask
from bgdata.shards import ImageSet
from tests.conftest import SIZE, TRAIN, VAL, WNIDS, TinyTree, photo_id, voc_xml

FILTERS = FilterSettings(require_box=True, max_box_share=0.9, min_box_kept=0.5)
ALL = PerClass(train=None, val=None)


def ingest(
    tree: TinyTree,
    work: Path,
    *,
    per_class: PerClass = ALL,
    excluded: frozenset[str] = frozenset(),
    max_unreadable: float = 0.05,
    seed: int = 0,
    workers: int = 1,
    require_box: bool = True,
) -> dict[str, Any]:
    found = find_tree(tree.root)
    filters = FILTERS.model_copy(update={"require_box": require_box})
    options = IngestSettings(
        filters=filters,
        per_class=per_class,
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=max_unreadable,
        photos_per_shard=8,
    )
    return ingest_photos(
        found, list_candidates(found), work, settings=options, excluded=excluded, seed=seed, workers=workers
    )


def listing_of(root: Path, path: Path) -> int:
    tree = find_tree(root)
    return write_listing(tree, list_candidates(tree), path)


def rejected(work: Path) -> dict[str, str]:
    with (work / "photos/rejected.csv").open(newline="") as file:
        return {cells["id"]: cells["reason"] for cells in csv.DictReader(file)}


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def encode(image: np.ndarray, kind: str, mode: str = "RGB", **options: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(image).convert(mode).save(data, kind, **options)
    return data.getvalue()


# The tree


@pytest.mark.parametrize("below", ["", "ILSVRC"])
def test_a_tree_is_found_by_its_parent_and_by_itself(shared_tree: TinyTree, below: str) -> None:
    candidates = list_candidates(find_tree(shared_tree.root / below))
    assert len(candidates) == 9 * (TRAIN + VAL)
    assert {one.id for one in candidates if one.split == "val"} == {
        photo_id(c, n, "val") for c in range(9) for n in range(VAL)
    }
    assert {one.id for one in candidates if one.split == "train"} == {
        photo_id(c, n) for c in range(9) for n in range(TRAIN)
    }
    assert all(one.photo and one.annotation and one.mask and one.wnid == WNIDS[one.label] for one in candidates)
    assert [(one.split, one.id) for one in candidates] == sorted((one.split, one.id) for one in candidates)


def test_a_tree_is_found_from_the_home_folder(tiny_tree: TinyTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_tree.root.parent))
    assert find_tree(f"~/{tiny_tree.root.name}") == find_tree(tiny_tree.root)


def test_an_id_that_a_mixed_images_name_cannot_hold_is_told(tiny_tree: TinyTree) -> None:
    folder = tiny_tree.root / "ILSVRC/Data/CLS-LOC/train" / WNIDS[0]
    (folder / f"{WNIDS[0]}_{'7' * 30}.JPEG").write_bytes(b"")
    assert len(list_candidates(find_tree(tiny_tree.root))) == 9 * (TRAIN + VAL) + 1
    (folder / f"{WNIDS[0]}_{'7' * 31}.JPEG").write_bytes(b"")
    with pytest.raises(InputError, match=r"the id n\d+_7+ of .* has 41 characters, expected at most 40 .*; rename"):
        list_candidates(find_tree(tiny_tree.root))


def test_the_solution_may_lie_inside_ilsvrc(tiny_tree: TinyTree) -> None:
    (tiny_tree.root / "LOC_val_solution.csv").rename(tiny_tree.root / "ILSVRC/LOC_val_solution.csv")
    assert find_tree(tiny_tree.root).solution == tiny_tree.root / "ILSVRC/LOC_val_solution.csv"


def test_a_missing_tree_says_what_to_do(tmp_path: Path, tiny_tree: TinyTree) -> None:
    with pytest.raises(InputError, match=r"expected the ILSVRC tree in .*nowhere.*Data/CLS-LOC.*set runtime.imagenet"):
        find_tree(tmp_path / "nowhere")
    (tiny_tree.root / "LOC_val_solution.csv").unlink()
    with pytest.raises(InputError, match=r"expected LOC_val_solution.csv .* found none: copy it there"):
        list_candidates(find_tree(tiny_tree.root))


def test_a_solution_of_other_columns_is_told(tiny_tree: TinyTree) -> None:
    (tiny_tree.root / "LOC_val_solution.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"expected the columns ImageId,PredictionString in .*, got a,b"):
        list_candidates(find_tree(tiny_tree.root))


def test_wnids_outside_the_nine_are_not_listed(tiny_tree: TinyTree) -> None:
    folder = tiny_tree.root / "ILSVRC/Data/CLS-LOC/train/n07747607"
    folder.mkdir()
    (folder / "n07747607_1.JPEG").write_bytes(b"an orange")
    with (tiny_tree.root / "LOC_val_solution.csv").open("a") as file:
        file.write("ILSVRC2012_val_00009999,n07747607 1 1 2 2 \n")
    assert len(list_candidates(find_tree(tiny_tree.root))) == 9 * (TRAIN + VAL)


def test_an_annotation_is_read() -> None:
    boxes = [Box(1, 2, 30, 40), Box(5, 6, 7, 8)]
    assert parse_annotation(voc_xml(boxes, (50, 60)).encode()) == ((50, 60), boxes)


@pytest.mark.parametrize("text", ["", "<annotation>", "<annotation/>", voc_xml([], (5, 5)).replace("5", "five")])
def test_what_is_no_annotation_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="not an annotation"):
        parse_annotation(text.encode())


def test_a_listing_is_the_same_wherever_the_tree_lies(
    shared_tree: TinyTree, tiny_tree: TinyTree, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    assert listing_of(shared_tree.root, one) == 9 * (TRAIN + VAL) * 3 + 1
    listing_of(tiny_tree.root / "ILSVRC", other)
    assert one.read_bytes() == other.read_bytes()
    assert "ILSVRC/Data/CLS-LOC/train/" in one.read_text()


def test_a_tree_that_is_not_the_listed_one_is_told(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tree = find_tree(tiny_tree.root)
    with pytest.raises(InputError, match=r"listing.csv is missing: run the fetch stage first"):
        find_gone(tree, list_candidates(tree), tmp_path / "listing.csv")
    listing_of(tiny_tree.root, tmp_path / "listing.csv")
    assert find_gone(tree, list_candidates(tree), tmp_path / "listing.csv") == []
    tiny_tree.mask(3, 1).unlink()
    assert find_gone(tree, list_candidates(tree), tmp_path / "listing.csv") == [tiny_tree.mask(3, 1)]
    new = tiny_tree.photo(3, 1).with_name(f"{WNIDS[3]}_99.JPEG")
    new.write_bytes(b"")
    with pytest.raises(InputError, match=r"2 files are in one of them alone, as masks/train/n.*; run `dvc repro --fo"):
        find_gone(tree, list_candidates(tree), tmp_path / "listing.csv")
    new.unlink()
    shutil.rmtree(tiny_tree.root / "masks")
    with pytest.raises(InputError, match=rf"{9 * (TRAIN + VAL)} files are in one of them alone, as masks/train/n"):
        find_gone(tree, list_candidates(tree), tmp_path / "listing.csv")


# The filters


@given(st.integers(256, 500), st.integers(256, 500), st.data())
def test_the_boxs_filters_agree_with_counted_pixels(height: int, width: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 40)), data.draw(st.integers(0, height - 40))
    box = Box(x0, y0, data.draw(st.integers(x0 + 20, width)), data.draw(st.integers(y0 + 20, height)))
    mask = np.zeros((height, width), bool)
    mask[box.y0 : box.y1, box.x0 : box.x1] = True
    crop = CentreCrop()
    inside = crop.mask(mask).sum()
    share = inside / crop.crop**2
    window = crop.window((height, width))
    kept = mask[window.y0 : window.y1, window.x0 : window.x1].sum() / box.area
    if abs(share - 0.9) > 0.02:
        assert (box_too_large(box, (height, width), FILTERS) is not None) == (share > 0.9)
    if abs(kept - 0.5) > 0.05:
        assert (box_outside_crop(box, (height, width), FILTERS) is not None) == (kept < 0.5)


def listed(image_id: str, split: str, label: int = 0) -> Candidate:
    return Candidate(image_id, split, WNIDS[label], label, image_id, "p", "a", None)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["train", "val"]),
        st.integers(0, 1),
        st.sampled_from(["aa", "bb", "cc", "dd"]),
    ),
    unique_by=lambda one: one[0],
)


def found_of(rows: list[tuple[int, str, int, str]]) -> list[Any]:
    """Photos as found, of drawn rows; not in the strategy, where beartype's draws would disturb Hypothesis's."""
    return [(listed(f"n_{n}", split, label), Finding(digest=digest)) for n, split, label, digest in rows]


@given(ROWS, st.sets(st.integers(0, 30).map("n_{}".format), max_size=3), st.randoms())
def test_of_equal_photos_one_stays_and_val_wins(rows: Any, excluded: set[str], shuffler: Any) -> None:
    found = found_of(rows)
    reasons = drop_duplicates(found, exclude(found, excluded))
    left = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
    digests = [finding.digest for _, finding in left]
    assert len(digests) == len(set(digests))
    gone = {finding.digest for candidate, finding in found if candidate.id in excluded}
    assert not gone & set(digests)
    in_val = {finding.digest for candidate, finding in found if candidate.split == "val"}
    assert not any(candidate.split == "train" and finding.digest in in_val for candidate, finding in left)
    assert {finding.digest for _, finding in found} == set(digests) | gone
    by_id = {candidate.id: reason for (candidate, _), reason in zip(found, reasons, strict=True)}
    shuffler.shuffle(found)
    again = drop_duplicates(found, exclude(found, excluded))
    assert by_id == {candidate.id: reason for (candidate, _), reason in zip(found, again, strict=True)}


@given(ROWS, st.integers(2, 6), st.integers(0, 3))
def test_the_balance_keeps_up_to_its_limit_and_depends_on_each_id_alone(rows: Any, limit: int, seed: int) -> None:
    found = found_of(rows)

    def kept(photos: Any, of: int) -> set[str]:
        reasons = balance(photos, [None] * len(photos), per_class=PerClass(train=of, val=None), seed=seed)
        return {candidate.id for (candidate, _), reason in zip(photos, reasons, strict=True) if reason is None}

    for label in (0, 1):
        train = {one.id for one, _ in found if (one.split, one.label) == ("train", label)}
        assert len(kept(found, limit) & train) == min(limit, len(train))
    assert {one.id for one, _ in found if one.split == "val"} <= kept(found, limit)
    assert kept(found, limit) <= kept(found, limit + 1)
    assert kept(found, limit) == kept(found[::-1], limit)
    fewer = [one for one in found if one[0].id in kept(found, limit)]
    assert kept(fewer, limit) == kept(found, limit)


def test_an_exclude_file_names_ids_files_and_mixed_images(tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text(
        "# the test set\nn1_00000012\n\n00_dog/n2_3.JPEG\nfg_n3_4_bg_n5_6.JPEG  # mixed\nILSVRC2012_val_00000007\n"
    )
    assert read_excluded(path) == {"n1_00000012", "n2_3", "n3_4", "n5_6", "ILSVRC2012_val_00000007"}
    with pytest.raises(InputError, match=r"gone.txt is missing: ingest.exclude_ids must name a file"):
        read_excluded(tmp_path / "gone.txt")


def test_an_exclude_file_is_read_as_editors_save_it(tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_bytes(b"\xef\xbb\xbfn1_00000012\r\n00_dog\\n2_3.JPEG\r\n\r\n")
    assert read_excluded(path) == {"n1_00000012", "n2_3"}
    path.write_bytes(b"n1_1\n# caf\xe9\n")
    with pytest.raises(InputError, match=r"exclude.txt:2: expected text in UTF-8, got the byte 0xe9"):
        read_excluded(path)


def test_exclusion_wins_over_other_reasons() -> None:
    found = [(listed("n_1", "train"), Finding("not_one_box")), (listed("n_2", "train"), Finding("not_one_box"))]
    assert exclude(found, {"n_1"}) == ["excluded", "not_one_box"]


# The sets


def test_photos_and_masks_are_stored_as_they_came(shared_tree: TinyTree, tmp_path: Path) -> None:
    manifest = ingest(shared_tree, tmp_path)
    assert manifest["candidates"] == 9 * (TRAIN + VAL)
    assert (manifest["rejected"], manifest["short_classes"], manifest["encoded_anew"]) == ({}, {}, 0)
    with ImageSet(tmp_path / "photos") as photos, ImageSet(tmp_path / "given_masks") as masks:
        assert [row.id for row in photos.rows] == [row.id for row in masks.rows]
        for split, count in (("train", TRAIN), ("val", VAL)):
            ids = [row.id for row in photos.split(split)]
            assert ids == sorted(photo_id(label, number, split) for label in range(9) for number in range(count))
        by_id = {row.id: row for row in photos.rows}
        for split in ("train", "val"):
            row = by_id[photo_id(4, 1, split)]
            assert photos.read(row) == shared_tree.photo(4, 1, split).read_bytes()
            assert masks.read(masks.by_id([row.id])[0]) == shared_tree.mask(4, 1, split).read_bytes()
            size, (box,) = parse_annotation(shared_tree.annotation(4, 1, split).read_bytes())
            assert (int(row.extra["height"]), int(row.extra["width"])) == size == SIZE
            assert Box(*(int(row.extra[edge]) for edge in ("x0", "y0", "x1", "y1"))) == box
            assert shared_tree.root / row.extra["source"] == shared_tree.photo(4, 1, split)


def test_masks_of_other_makes_become_plain(tiny_tree: TinyTree, tmp_path: Path) -> None:
    truths = [decode_mask(tiny_tree.mask(label, 0).read_bytes()) for label in range(5)]
    made = [truth.astype(np.uint8) for truth in truths]
    tiny_tree.mask(0, 0).write_bytes(encode(made[0], "PNG", "L"))
    tiny_tree.mask(1, 0).write_bytes(encode(made[1] * 255, "PNG", "L"))
    tiny_tree.mask(2, 0).unlink()
    tiny_tree.mask(2, 0).with_suffix(".GIF").write_bytes(encode(made[2] * 255, "GIF", "L"))
    tiny_tree.mask(3, 0).write_bytes(encode((1 - made[3]) * 255, "PNG", "L"))
    tiny_tree.mask(4, 0).write_bytes(b"broken")
    kept = [tiny_tree.mask(label, 0).read_bytes() for label in (1, 3, 4)]
    ingest(tiny_tree, tmp_path / "work")
    with ImageSet(tmp_path / "work/given_masks") as masks:
        stored = [masks.read(row) for row in masks.by_id(photo_id(label, 0) for label in range(5))]
    assert [stored[label] for label in (1, 3, 4)] == kept  # plain, or unusable: who reads them counts them
    assert stored[0] == encode_mask(truths[0])
    assert stored[2] == encode_mask(truths[2])


def test_two_workers_give_the_bytes_of_one(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tiny_tree.photo(2, 0).write_bytes(b"broken")
    limits = PerClass(train=3, val=2)
    for workers in (1, 2):
        ingest(tiny_tree, tmp_path / str(workers), per_class=limits, workers=workers)
    for name in ("photos", "given_masks"):
        assert files(tmp_path / "1" / name) == files(tmp_path / "2" / name)


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    shared_tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(shared_tree, tmp_path / "whole")
    ingest(shared_tree, tmp_path / "killed")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").rglob("*.tar")}
    for name in ("photos/manifest.json", "photos/index.csv", "photos/parts/train-00001.json"):
        (tmp_path / "killed" / name).unlink()

    def inspected_again(*_: object) -> None:
        raise AssertionError("inspected again")

    monkeypatch.setattr("bgdata.ingest.inspection.inspect_candidate", inspected_again)
    ingest(shared_tree, tmp_path / "killed")
    assert files(tmp_path / "whole/photos") == files(tmp_path / "killed/photos")
    rewritten = {path.name for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert rewritten == {"train-00001.tar"}


def test_each_bad_photo_is_left_out_with_its_reason(tiny_tree: TinyTree, tmp_path: Path) -> None:
    image = decode_image(tiny_tree.photo(0, 0).read_bytes())
    box = Box(100, 80, 200, 180)
    turned = Image.Exif()
    turned[0x0112] = 6
    tiny_tree.photo(0, 0).unlink()
    tiny_tree.annotation(1, 0).unlink()
    tiny_tree.annotate(2, 0, [box], size=(SIZE[0] + 1, SIZE[1]))
    tiny_tree.annotate(3, 0, [box, box])
    tiny_tree.annotate(3, 1, [])
    tiny_tree.annotate(4, 0, [Box(0, 0, SIZE[1], SIZE[0])])
    tiny_tree.annotate(5, 0, [Box(0, 0, 30, 40)])
    tiny_tree.annotate(5, 1, [Box(200, 100, 200, 140)])
    tiny_tree.photo(6, 0).write_bytes(tiny_tree.photo(6, 0).read_bytes()[:-500])
    tiny_tree.photo(7, 0).write_bytes(encode(image, "JPEG", exif=turned))
    tiny_tree.annotation(8, 0).write_text("<annotation>")
    tiny_tree.photo(8, 1).write_bytes(tiny_tree.photo(8, 2, "val").read_bytes())
    manifest = ingest(tiny_tree, tmp_path / "work", excluded=frozenset([photo_id(1, 1), "ILSVRC2012_val_00000003"]))
    assert rejected(tmp_path / "work") == {
        photo_id(0, 0): "no_photo",
        photo_id(1, 0): "no_annotation",
        photo_id(1, 1): "excluded",
        photo_id(2, 0, "val"): "excluded",
        photo_id(2, 0): "size_mismatch",
        photo_id(3, 0): "not_one_box",
        photo_id(3, 1): "not_one_box",
        photo_id(4, 0): "box_too_large",
        photo_id(5, 0): "box_outside_crop",
        photo_id(5, 1): "box_outside_crop",
        photo_id(6, 0): "unreadable",
        photo_id(7, 0): "exif_rotated",
        photo_id(8, 0): "unreadable_annotation",
        photo_id(8, 1): "duplicate",
    }
    assert manifest["rejected"]["not_one_box"] == 2
    assert sum(manifest["rejected"].values()) == 14
    kept = sum(sum(of_split.values()) for of_split in manifest["images"].values())
    assert kept + 14 == manifest["candidates"] == 9 * (TRAIN + VAL)


def test_where_no_box_is_required_annotations_are_used_and_filtered_all_the_same(
    tiny_tree: TinyTree, tmp_path: Path
) -> None:
    tiny_tree.annotation(1, 0).unlink()
    tiny_tree.annotate(2, 0, [Box(100, 80, 200, 180)] * 2)
    tiny_tree.annotation(3, 0).write_text("<annotation>")
    ingest(tiny_tree, tmp_path / "work", require_box=False)
    assert rejected(tmp_path / "work") == {photo_id(2, 0): "not_one_box", photo_id(3, 0): "unreadable_annotation"}
    boxless, boxed = ImageSet(tmp_path / "work/photos").by_id([photo_id(1, 0), photo_id(1, 1)])
    assert boxless.extra["x0"] == ""
    assert boxed.extra["x0"] != ""


def test_a_split_of_which_nothing_is_listed_stays_empty(tiny_tree: TinyTree, tmp_path: Path) -> None:
    for place in ("Data", "Annotations"):
        shutil.rmtree(tiny_tree.root / "ILSVRC" / place / "CLS-LOC/train")
    manifest = ingest(tiny_tree, tmp_path / "work")
    assert manifest["images"]["train"] == {}
    assert sum(manifest["images"]["val"].values()) == 9 * VAL


@pytest.mark.parametrize("annotation", ["<annotation>", voc_xml([], SIZE), None])
def test_copies_of_an_excluded_photo_with_a_bad_annotation_go_as_well(
    tiny_tree: TinyTree, tmp_path: Path, annotation: str | None
) -> None:
    tiny_tree.photo(1, 1).write_bytes(tiny_tree.photo(0, 0).read_bytes())
    if annotation is None:
        tiny_tree.annotation(0, 0).unlink()
    else:
        tiny_tree.annotation(0, 0).write_text(annotation)
    manifest = ingest(tiny_tree, tmp_path / "work", excluded=frozenset([photo_id(0, 0), "n1_1"]))
    assert rejected(tmp_path / "work") == {photo_id(0, 0): "excluded", photo_id(1, 1): "duplicate"}
    assert (manifest["exclude_list"], manifest["exclude_unmatched"]) == (2, 1)


def test_an_exclude_list_of_another_tree_is_told(shared_tree: TinyTree, tmp_path: Path) -> None:
    words = r"\(ingest.exclude_ids\) names no photo of .*ILSVRC: expected ids such as .* got 2 others, as n1_1; correct"
    with pytest.raises(InputError, match=words):
        ingest(shared_tree, tmp_path, excluded=frozenset(["n1_2", "n1_1"]))
    assert ingest(shared_tree, tmp_path)["exclude_unmatched"] == 0


def test_odd_codings_are_let_in(tiny_tree: TinyTree, tmp_path: Path) -> None:
    image = decode_image(tiny_tree.photo(0, 0).read_bytes())
    tiny_tree.photo(0, 0).write_bytes(encode(image, "PNG"))
    tiny_tree.photo(1, 0).write_bytes(encode(image, "JPEG", "CMYK"))
    grey = encode(image, "JPEG", "L")
    tiny_tree.photo(2, 0).write_bytes(grey)
    manifest = ingest(tiny_tree, tmp_path / "work")
    assert manifest["rejected"] == {}
    assert manifest["encoded_anew"] == 2
    with ImageSet(tmp_path / "work/photos") as photos:
        png, cmyk, single = photos.by_id([photo_id(label, 0) for label in range(3)])
        for row in (png, cmyk):
            assert photos.read(row).startswith(b"\xff\xd8")
            assert np.abs(decode_image(photos.read(row)).astype(int) - image).mean() < 4
        assert photos.read(single) == grey


def test_a_box_beyond_the_photo_is_clipped(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tiny_tree.annotate(0, 0, [Box(60, 50, SIZE[1] + 5, 200)])
    ingest(tiny_tree, tmp_path / "work")
    (row,) = ImageSet(tmp_path / "work/photos").by_id([photo_id(0, 0)])
    assert row.extra["x1"] == str(SIZE[1])


def test_full_classes_are_cut_and_short_ones_named(shared_tree: TinyTree, tmp_path: Path) -> None:
    manifest = ingest(shared_tree, tmp_path, per_class=PerClass(train=2, val=5))
    assert set(manifest["images"]["train"].values()) == {2}
    assert manifest["rejected"] == {"class_is_full": 9 * (TRAIN - 2)}
    assert set(manifest["short_classes"]) == {"val"}
    assert manifest["short_classes"]["val"]["03_reptile"] == VAL


def test_a_tree_without_masks_gives_an_empty_set_of_them(tiny_tree: TinyTree, tmp_path: Path) -> None:
    (tiny_tree.root / "masks").rename(tmp_path / "elsewhere")
    ingest(tiny_tree, tmp_path / "work")
    assert ImageSet(tmp_path / "work/given_masks").rows == []


def test_too_many_unreadable_photos_are_named(tiny_tree: TinyTree, tmp_path: Path) -> None:
    for label in range(6):
        tiny_tree.photo(label, 0).write_bytes(encode_jpeg(np.zeros((20, 20, 3), np.uint8), 90)[:-100])
    words = (
        r"6 of 63 photos are unreadable, more than ingest.max_unreadable \(0.05\) allows: (\S+, ){5}\.\.\.; copy them"
    )
    with pytest.raises(InputError, match=words):
        ingest(tiny_tree, tmp_path / "work")
    ingest(tiny_tree, tmp_path / "work", max_unreadable=0.1)


def test_a_repaired_photo_is_read_again(tiny_tree: TinyTree, tmp_path: Path) -> None:
    whole = tiny_tree.photo(0, 0).read_bytes()
    tiny_tree.photo(0, 0).write_bytes(whole[:-500])
    with pytest.raises(InputError, match=r"1 of 63 photos are unreadable"):
        ingest(tiny_tree, tmp_path / "work", max_unreadable=0)
    tiny_tree.photo(0, 0).write_bytes(whole)
    assert ingest(tiny_tree, tmp_path / "work", max_unreadable=0)["rejected"] == {}


def test_shards_of_another_choice_are_not_mixed(tiny_tree: TinyTree, tmp_path: Path) -> None:
    ingest(tiny_tree, tmp_path / "work")
    # Other photos, fewer shards; then the same photos, another row.
    for label, boxes in ((8, []), (7, [Box(100, 80, 200, 180)])):
        for number in range(2):
            tiny_tree.annotate(label, number, boxes)
        ingest(tiny_tree, tmp_path / "work")
        ingest(tiny_tree, tmp_path / f"anew{label}")
        for name in ("photos", "given_masks"):
            assert files(tmp_path / "work" / name) == files(tmp_path / f"anew{label}" / name)


@pytest.mark.parametrize(("left", "words"), [(1, "a single photo in train of 1"), (0, "no photo in train of 0")])
def test_a_class_with_too_few_photos_is_named(tiny_tree: TinyTree, tmp_path: Path, left: int, words: str) -> None:
    for number in range(left, TRAIN):
        tiny_tree.remove(5, number)
    with pytest.raises(
        InputError, match=f"class 05_insect has {words} listed .*mixed_same needs a background of another"
    ):
        ingest(tiny_tree, tmp_path / "work")


def test_a_class_that_the_filters_emptied_says_by_which(tiny_tree: TinyTree, tmp_path: Path) -> None:
    for number in range(TRAIN):
        tiny_tree.annotate(5, number, [])
    with pytest.raises(
        InputError, match=r"class 05_insect has no photo in train of 4 listed \(left out: not_one_box 4\)"
    ):
        ingest(tiny_tree, tmp_path / "work")


def test_a_photo_that_changes_between_the_passes_is_told(
    tiny_tree: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(*_: object) -> None:
        with tiny_tree.photo(0, 0).open("ab") as file:
            file.write(b"x")

    monkeypatch.setattr("bgdata.ingest.photos.check_unreadable", change)
    with pytest.raises(InputError, match="is not what it was when it was inspected: run the stage again"):
        ingest(tiny_tree, tmp_path / "work")
    monkeypatch.undo()
    ingest(tiny_tree, tmp_path / "work")
    with ImageSet(tmp_path / "work/photos") as photos:
        (row,) = photos.by_id([photo_id(0, 0)])
        assert photos.read(row) == tiny_tree.photo(0, 0).read_bytes()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_photo_without_permission_is_unreadable(tiny_tree: TinyTree, tmp_path: Path) -> None:
    tiny_tree.photo(0, 0).chmod(0)
    ingest(tiny_tree, tmp_path / "work")
    assert rejected(tmp_path / "work") == {photo_id(0, 0): "unreadable"}
