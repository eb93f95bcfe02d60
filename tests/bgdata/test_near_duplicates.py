"""Near-duplicates in a tree that is not split: copies on one side, other photos where the draw put them."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from bgdata.class_files import list_class_folders
from bgdata.in9l import In9LSettings, write_in9l
from bgdata.ingest import near_duplicates
from bgdata.ingest.candidates import Candidate
from bgdata.ingest.folder import FolderTree, ValShare, find_folder_tree, list_folder_tree
from bgdata.ingest.near_duplicates import group_near_duplicates, keep_near_duplicates_together
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_thumbnail
from bgdata.shards import ImageSet
from tests.conftest import IMAGENET_SAMPLE

NAMES = ("cat", "dog")
SHARE = ValShare(0.4, 0)
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda photo: photo,
    "half": lambda photo: photo.resize((photo.width // 2, photo.height // 2)),
    "larger": lambda photo: photo.resize((photo.width * 3 // 2, photo.height * 3 // 2)),
    "brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.1),
    "darker": lambda photo: ImageEnhance.Brightness(photo).enhance(0.85),
    "grey": lambda photo: photo.convert("L"),
    "squashed": lambda photo: photo.resize((224, 224)),
}


def scene(seed: int) -> Image.Image:
    """A picture of large and small shapes, as photos are: more at low frequencies than at high ones."""
    noise = np.random.default_rng(seed).normal(size=(2, 6, 8, 3))
    coarse, fine = (
        np.asarray(Image.fromarray(np.uint8(np.clip(128 + 50 * part, 0, 255))).resize(size, Image.Resampling.BICUBIC))
        for part, size in ((noise[0], (160, 120)), (noise[1], (40, 30)))
    )
    return Image.fromarray(np.uint8((coarse.astype(int) * 3 + np.tile(fine, (4, 4, 1))) // 4))


def jpeg(photo: Image.Image, quality: int) -> bytes:
    data = io.BytesIO()
    photo.save(data, "JPEG", quality=quality)
    return data.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twelve photos a class; of the first two of each class there are six copies more, in both classes."""
    root = tmp_path / "tree"
    for label, name in enumerate(NAMES):
        for number in range(12):
            write(root / name / f"photo{number}.jpg", jpeg(scene(100 * label + number), 92))
        for number in range(2):
            for place, (kind, copy) in enumerate(COPIES.items()):
                data = jpeg(copy(scene(100 * label + number)), 55 + 5 * place)
                write(root / NAMES[(label + place) % 2] / f"copy{label}{number} {kind}.jpg", data)
    return root


def opened(root: Path, share: ValShare = SHARE) -> tuple[FolderTree, list[Candidate]]:
    found = find_folder_tree(root, list_class_folders(root))
    return found, list_folder_tree(found, share=share)


def ingest(root: Path, work: Path, share: ValShare = SHARE, *, workers: int = 1) -> dict[str, Any]:
    settings = IngestSettings(
        filters=FilterSettings(require_box=False, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=share.share,
        max_unreadable=0.5,
        photos_per_shard=10,
    )
    return ingest_photos(*opened(root, share), work, settings=settings, seed=share.seed, workers=workers)


def subject(candidate: Candidate) -> str:
    """Which scene a photo of the tree shows."""
    stem = candidate.stem.split(" ")[0]
    label = NAMES.index(Path(candidate.photo or "").parent.name)
    return stem.replace("copy", "") if stem.startswith("copy") else f"{label}{stem.removeprefix('photo')}"


@pytest.mark.parametrize("seed", range(4))
def test_copies_go_to_the_side_of_the_first_id_and_all_others_stay(seed: int, tree: Path, tmp_path: Path) -> None:
    found, candidates = opened(tree, ValShare(0.4, seed))
    together, note = keep_near_duplicates_together(found, candidates, tmp_path, workers=1)
    drawn = {one.id: one.split for one in candidates}
    of_scene: dict[str, list[Candidate]] = {}
    for one in together:
        of_scene.setdefault(subject(one), []).append(one)
    for members in of_scene.values():
        assert {one.split for one in members} == {drawn[min(one.id for one in members)]}
    assert sorted(map(len, of_scene.values())) == [1] * 20 + [8] * 4
    moved = sum(drawn[one.id] != one.split for one in together)
    assert moved > 0
    assert note == {"near_duplicates": {"groups": 4, "photos": 32, "moved": moved}}
    assert [replace(one, split=drawn[one.id]) for one in sorted(together, key=lambda one: one.id)] == sorted(
        candidates, key=lambda one: one.id
    )
    assert together == sorted(together, key=lambda one: (one.split, one.id))


def test_both_sets_of_photos_have_the_same_sides(tree: Path, tmp_path: Path) -> None:
    manifest = ingest(tree, tmp_path / "work")
    assert manifest["near_duplicates"]["groups"] == 4
    settings = In9LSettings(max_unreadable=0, resize=64, size=56, jpeg_quality=90, images_per_shard=50)
    (tmp_path / "in9l").mkdir()
    write_in9l(*opened(tree), tmp_path / "in9l", settings=settings, workers=1)
    with ImageSet(tmp_path / "work/photos") as photos, ImageSet(tmp_path / "in9l/in9l") as whole:
        assert {row.id for row in whole.rows} == {row.id for row in photos.split("train")}
        assert 0 < len(whole.rows) < len(photos.rows)


def test_exact_copies_never_stand_on_two_sides(tree: Path, tmp_path: Path) -> None:
    for number in range(6):
        write(tree / "dog" / f"again{number}.jpg", (tree / "cat" / "photo5.jpg").read_bytes())
    found, candidates = opened(tree)
    together, _ = keep_near_duplicates_together(found, candidates, tmp_path / "near", workers=1)
    copies = [one for one in together if one.stem.startswith("again") or (one.stem == "photo5" and one.label == 0)]
    assert (len(copies), len({one.split for one in copies})) == (7, 1)
    assert len({one.split for one in candidates if one.id in {copy.id for copy in copies}}) == 2
    assert ingest(tree, tmp_path / "work")["rejected"]["duplicate"] == 6


def test_the_sets_depend_neither_on_workers_nor_on_an_earlier_run(tree: Path, tmp_path: Path) -> None:
    first = ingest(tree, tmp_path / "one")
    assert ingest(tree, tmp_path / "one") == ingest(tree, tmp_path / "two", workers=2) == first
    index = (tmp_path / "one/photos/index.csv").read_bytes()
    # A copy that was repaired since is another photo: its thumbnail is read again, and what it tied together parts.
    for path in tree.rglob("copy00*"):
        path.write_bytes(jpeg(scene(500 + len(path.name)), 90))
    again = ingest(tree, tmp_path / "one")
    assert again["near_duplicates"]["groups"] == ingest(tree, tmp_path / "three")["near_duplicates"]["groups"] != 4
    assert (tmp_path / "one/photos/index.csv").read_bytes() == (tmp_path / "three/photos/index.csv").read_bytes()
    assert (tmp_path / "one/photos/index.csv").read_bytes() != index


def test_a_chosen_photo_whose_side_alone_changed_is_written_anew(tmp_path: Path) -> None:
    for name in NAMES:
        for number in range(12):
            write(tmp_path / "tree" / name / f"{number}.jpg", jpeg(scene(12 * NAMES.index(name) + number), 90))
    _, candidates = opened(tmp_path / "tree")
    before = next(one for one in candidates if one.split == "val")
    firsts = [one for one in candidates if one.split == "train" and one.id < before.id]
    assert firsts, "a photo of train comes before one of val"
    ingest(tmp_path / "tree", tmp_path / "work")
    # Cut short: left out by itself, yet where its upper half stands tells nothing, so it ties no photos together.
    broken = Path(firsts[0].photo or "")
    broken.write_bytes(Path(before.photo or "").read_bytes()[:-400])
    assert ingest(tmp_path / "tree", tmp_path / "work")["near_duplicates"]["groups"] == 0
    # Whole: the photo of val is its copy, and follows it.
    broken.write_bytes(jpeg(COPIES["half"](Image.open(before.photo or "")), 80))
    assert ingest(tmp_path / "tree", tmp_path / "work")["near_duplicates"] == {"groups": 1, "photos": 2, "moved": 1}
    with ImageSet(tmp_path / "work/photos") as photos:
        assert photos.by_id([before.id])[0].split == "train"
        assert photos.by_id([before.id])[0].shard.startswith("train")


def test_a_tree_that_is_split_stays_as_it_lies(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in NAMES:
            for number in range(3):
                write(tmp_path / "tree" / split / name / f"{number}.jpg", jpeg(scene(number), 90 - number))
    found, candidates = opened(tmp_path / "tree")
    assert keep_near_duplicates_together(found, candidates, tmp_path / "work", workers=1) == (candidates, {})
    assert not (tmp_path / "work").exists()


def test_what_cannot_be_read_or_is_flat_is_like_no_other(tree: Path, tmp_path: Path) -> None:
    for number, grey in enumerate((0, 128, 255, 255)):
        write(tree / "cat" / f"flat{number}.jpg", jpeg(Image.new("L", (50 + number, 40), grey), 90))
    for number in range(4):
        write(tree / "dog" / f"broken{number}.jpg", b"\xff\xd8 no photo")
    found, candidates = opened(tree)
    gone = replace(candidates[0], id="gone-0", photo=None)
    _, note = keep_near_duplicates_together(found, [*candidates, gone], tmp_path, workers=1)
    assert (note["near_duplicates"]["groups"], note["near_duplicates"]["photos"]) == (4, 32)


def test_groups_are_those_of_a_comparison_of_all_pairs() -> None:
    scenes = [scene(seed) for seed in range(60)]
    kinds = list(COPIES.values())
    pictures = [*scenes, *(kinds[place % len(kinds)](photo) for place, photo in enumerate(scenes[::2]))]
    thumbnails = np.stack([decode_thumbnail(jpeg(picture, 70), 16) for picture in pictures])
    values = thumbnails.reshape(len(thumbnails), -1).astype(float)
    alike = np.corrcoef(values) >= near_duplicates.LEAST_CORRELATION
    while not np.array_equal(alike, wider := alike @ alike):
        alike = wider
    assert np.array_equal(group_near_duplicates(thumbnails), alike.argmax(1))
    assert (alike.sum(1) > 1).sum() == 60


def test_a_still_scene_fills_no_bucket_and_is_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    still = decode_thumbnail(jpeg(scene(1), 90), 16).astype(int)
    frames = np.uint8(np.clip(still + rng.normal(0, 2, (600, 16, 16)), 0, 255))
    compared, plain = [], near_duplicates._plain
    monkeypatch.setattr(near_duplicates, "_plain", lambda some: compared.append(len(some)) or plain(some))
    assert set(group_near_duplicates(frames)) == {0}
    assert sum(compared) < 600 * 60  # all pairs would be 600 * 300


@pytest.mark.skipif(not IMAGENET_SAMPLE.is_dir(), reason="no real photos on this machine")
def test_real_photos_are_like_their_copies_alone() -> None:
    photos = [path.read_bytes() for path in sorted(IMAGENET_SAMPLE.rglob("*.JPEG"))][::3]
    kinds = list(COPIES.values())
    copies = [
        jpeg(kinds[place % len(kinds)](Image.open(io.BytesIO(data)).convert("RGB")), 60)
        for place, data in enumerate(photos)
    ]
    thumbnails = np.stack([decode_thumbnail(data, 16) for data in [*photos, *copies]])
    assert group_near_duplicates(thumbnails).tolist() == [*range(len(photos))] * 2
