"""The source `folder`: ImageFolder trees, split or not, with masks and boxes beside them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgdata.class_files import list_class_folders
from bgdata.classes import ClassList, plain_class_list
from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.ingest.candidates import Candidate, PhotoTree
from bgdata.ingest.folder import FolderTree, ValShare, find_folder_tree, list_folder_tree
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.ingest.sources import open_source
from bgdata.shards import ImageSet

ENDINGS = (".jpg", ".PNG", ".webp", ".bmp", ".tif")
NAMES = ("Katze ä", "a dog", "n01440764")
SIZE = (60, 80)


def paint(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three classes, five photos each in train and three in test, of five endings, also in folders below."""
    root, seed = tmp_path / "tree", 0
    for split, count in (("train", 5), ("test", 3)):
        for name in NAMES:
            for number in range(count):
                below = "more" if number == 1 else ""
                seed += 1
                paint(root / split / name / below / f"photo {number}{ENDINGS[number]}", seed)
    return root


def opened(root: Path, share: ValShare = ValShare(0.5, 0)) -> tuple[FolderTree, list[Candidate]]:  # noqa: B008  # frozen
    found = find_folder_tree(root, list_class_folders(root))
    return found, list_folder_tree(found, share=share)


def ingest(tree: PhotoTree, candidates: list[Candidate], work: Path, *, require_box: bool = False) -> ImageSet:
    settings = IngestSettings(
        filters=FilterSettings(require_box=require_box, max_box_share=0.9, min_box_kept=0.5),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.5,
        max_unreadable=0,
        photos_per_shard=4,
    )
    ingest_photos(tree, candidates, work, settings=settings, seed=0, workers=1)
    return ImageSet(work / "photos")


def test_each_photo_is_listed_once_with_its_class_and_split(tree: Path, tmp_path: Path) -> None:
    found, candidates = opened(tree)
    assert found.classes.names == tuple(sorted(NAMES))
    assert len(candidates) == len({one.id for one in candidates}) == 24
    assert {one.split for one in candidates} == {"train", "val"}
    for one in candidates:
        assert one.photo
        assert found.classes.names[one.label] in Path(one.photo).parts
        assert one.split == ("val" if "test" in Path(one.photo).parts else "train")
        assert one.wnid == ("n01440764" if found.classes.names[one.label] == "n01440764" else "")
        assert one.id.isascii()
    with ingest(found, candidates, tmp_path / "work") as photos:
        assert photos.classes.same_as(found.classes)
        assert {row.id for row in photos.rows} == {one.id for one in candidates}
        assert photos.manifest["images"]["val"] == dict.fromkeys(found.classes.folders, 3)


def test_masks_and_boxes_beside_the_tree_belong_to_their_photos(tree: Path, tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[20:40, 30:60] = 255
    (tree / "masks/train/a dog/more").mkdir(parents=True)
    Image.fromarray(mask).save(tree / "masks/train/a dog/photo 0.png")
    Image.fromarray(mask).save(tree / "masks/train/a dog/more/photo 1.png")
    (tree / "boxes.csv").write_text("path,x0,y0,x1,y1\ntrain/a dog/photo 0.jpg,30,20,60,40\n")
    found, candidates = opened(tree)
    assert sorted(Path(one.photo or "").name for one in candidates if one.mask) == ["photo 0.jpg", "photo 1.PNG"]
    (boxed,) = [one for one in candidates if one.boxes]
    assert boxed.boxes == (Box(30, 20, 60, 40),)
    with ingest(found, candidates, tmp_path / "work") as photos, ImageSet(tmp_path / "work/given_masks") as masks:
        assert [row.id for row in photos.rows if row.extra["x0"]] == [boxed.id]
        assert Box.from_cells(photos.by_id([boxed.id])[0].extra) == Box(30, 20, 60, 40)
        assert len(masks.rows) == 2


def test_a_tree_that_is_not_split_is_split_by_seed_and_id_alone(tmp_path: Path) -> None:
    for name in NAMES:
        for number in range(40):
            paint(tmp_path / "tree" / name / f"{number}.jpg", number)
    _, first = opened(tmp_path / "tree", ValShare(0.3, 0))
    sides = {one.id: one.split for one in first}
    assert 20 <= sum(split == "val" for split in sides.values()) <= 52
    assert sides != {one.id: one.split for one in opened(tmp_path / "tree", ValShare(0.3, 1))[1]}
    paint(tmp_path / "tree" / NAMES[0] / "new.jpg", 1)
    more = {one.id: one.split for one in opened(tmp_path / "tree", ValShare(0.3, 0))[1]}
    assert sides.items() <= more.items()
    assert len(more) == len(sides) + 1


def test_a_list_takes_its_classes_by_name_or_wnid_and_leaves_the_others(tree: Path) -> None:
    classes = ClassList("mine", ("fish", "a dog"), (("n01440764",), ()))
    _, candidates = open_source("folder", tree, classes)
    assert len(candidates) == 16
    assert {Path(one.photo or "").parts[-2 - ("more" in (one.photo or ""))]: one.label for one in candidates} == {
        "n01440764": 0,
        "a dog": 1,
    }
    with pytest.raises(InputError, match=r"holds no photo of the classes other \(2 classes: x, y\)"):
        open_source("folder", tree, plain_class_list("other", ["x", "y"]))


def test_folders_that_changed_since_config_are_told(tree: Path) -> None:
    before = list_class_folders(tree)
    for split in ("train", "test"):
        paint(tree / split / "new" / "1.jpg", 1)
    with pytest.raises(InputError, match="other class folders than when config ran, as new: `dvc repro -f config`"):
        find_folder_tree(tree, before)


def test_bad_trees_are_sentences(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found no folder: set runtime\.folder"):
        list_class_folders(tmp_path / "nowhere")
    paint(tree / "test" / "val only" / "1.jpg", 1)
    with pytest.raises(InputError, match=r"1 class folder is missing.*\n.*train has no folder 'val only'"):
        list_class_folders(tree)
    paint(tree / "train" / "val only" / "1.jpg", 2)
    paint(tree / "train" / "A Dog" / "1.jpg", 3)
    paint(tree / "test" / "A Dog" / "1.jpg", 4)
    with pytest.raises(InputError, match="'A Dog' and 'a dog' differ in case"):
        list_class_folders(tree)
    for path in (tmp_path / "one/train/cat/1.jpg", tmp_path / "half/train/cat/1.jpg", tmp_path / "one/val/cat/2.jpg"):
        paint(path, 1)
    with pytest.raises(InputError, match="it has 1 class, expected 2 to 1000"):
        list_class_folders(tmp_path / "one")
    with pytest.raises(InputError, match="has train: expected train/ and val/"):
        list_class_folders(tmp_path / "half")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="it has 0 classes"):
        list_class_folders(tmp_path / "empty")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train/a dog/photo 0.jpg,1,2,x,4", "is no four numbers"),
        ("train/a dog/photo 0.jpg,5,2,5,4", "is empty"),
        ("train/a dog/nothing.jpg,1,2,5,4", "1 files that are no photo of the tree, as train/a dog/nothing.jpg"),
    ],
)
def test_a_broken_table_of_boxes_is_a_sentence(line: str, words: str, tree: Path) -> None:
    (tree / "boxes.csv").write_text(f"path,x0,y0,x1,y1\n{line}\n")
    with pytest.raises(InputError, match=words):
        opened(tree)


def test_a_class_with_one_photo_is_named(tree: Path, tmp_path: Path) -> None:
    for path in sorted((tree / "train" / "a dog").rglob("photo *"))[1:]:
        path.unlink()
    words = r"class 01_a dog has a single photo in train of 1 listed.*; add photos of it, or take it out of the list"
    with pytest.raises(InputError, match=words):
        ingest(*opened(tree), tmp_path / "work")


def test_all_classes_of_too_few_photos_are_named_at_once(tree: Path, tmp_path: Path) -> None:
    names = ["a dog", *(f"no {number}" for number in range(6)), NAMES[2]]
    found, candidates = open_source("folder", tree, plain_class_list("mine", names))
    words = (
        r"class 01_no 0 has no photo in train of 0 listed \(left out: none\).*, or take it out of the list of classes; "
        r"too few also: 02_no 1 in train, .*, 06_no 5 in train \.\.\.$"
    )
    with pytest.raises(InputError, match=words):
        ingest(found, candidates, tmp_path / "work")


@pytest.mark.parametrize(("share", "remedy"), [(0.01, "raise"), (0.99, "lower")])
def test_a_share_that_leaves_a_side_too_few_is_named(share: float, remedy: str, tmp_path: Path) -> None:
    for number in range(12):
        paint(tmp_path / "tree" / NAMES[number % 2] / f"{number}.png", number)
    with pytest.raises(InputError, match=f"; add photos, or {remedy} ingest.val_share"):
        ingest(*opened(tmp_path / "tree", ValShare(share, 0)), tmp_path / "work")
