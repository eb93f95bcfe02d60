"""Masks shared without their photos: from one user's ImageNet to another's, bit for bit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bgdata.errors import InputError
from bgdata.exports.masks import apply_masks, export_masks
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_mask
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.shards import ImageSet
from models.segmenters.run import segment_photos
from models.segmenters.settings import SegmentJob
from tests.bgdata.test_ilsvrc_layouts import as_class_folders, named_by_class
from tests.conftest import TinyTree

JOB = SegmentJob(
    method="given",
    clean=CleanSettings(min_piece=0.02, max_hole=0.02, largest_only=False),
    quality=QualitySettings(min_box_share=0.1, max_photo_share=0.95),
)
INGEST = IngestSettings(
    filters=FilterSettings(require_box=False, max_box_share=0.9, min_box_kept=0.5),
    per_class=PerClass(train=None, val=None),
    exclude_ids=None,
    val_share=0.2,
    max_unreadable=0.05,
    photos_per_shard=8,
)


def segment(tree: TinyTree, work: Path) -> dict[tuple[str, str], np.ndarray]:
    """Ingest a tree and take its masks as given; the masks by split and id."""
    found = find_tree(tree.root)
    ingest_photos(found, list_candidates(found), work, settings=INGEST, seed=0, workers=1)
    segment_photos(work / "photos", work / "given_masks", work, settings=JOB, seed=0, workers=1)
    with ImageSet(work / "masks") as masks:
        return {(row.split, row.id): decode_mask(masks.read(row)) for row in masks.rows}


@pytest.fixture(scope="module")
def shared(shared_tree: TinyTree, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A file of all masks of the tiny tree, and the masks."""
    work = tmp_path_factory.mktemp("shared")
    masks = segment(shared_tree, work)
    assert export_masks(work / "masks", work / "out") == len(masks) == 63
    return work / "out/masks/masks.jsonl", masks


def bare(tree: TinyTree) -> TinyTree:
    """The tree as somebody has it who has no masks."""
    shutil.rmtree(tree.root / "masks")
    return tree


def as_it_is(tree: TinyTree) -> None:
    """Kaggle's layout."""


@pytest.mark.parametrize("layout", [as_it_is, named_by_class, as_class_folders])
def test_masks_go_round_bit_for_bit(
    shared: tuple[Path, dict], tiny_tree: TinyTree, tmp_path: Path, layout: Callable[[TinyTree], None]
) -> None:
    file, masks = shared
    layout(tiny_tree)
    assert apply_masks(file, bare(tiny_tree).root) == (63, 0)
    again = segment(tiny_tree, tmp_path / "work")
    assert again.keys() == masks.keys()
    assert all(np.array_equal(again[key], masks[key]) for key in masks)


def test_masks_lie_where_a_tree_has_them(shared: tuple[Path, dict], tiny_tree: TinyTree) -> None:
    before = sorted((tiny_tree.root / "masks").rglob("*.png"))
    apply_masks(shared[0], bare(tiny_tree).root)
    assert sorted((tiny_tree.root / "masks").rglob("*.png")) == before


def test_the_file_holds_no_photo_and_tells_how_it_was_made(shared: tuple[Path, dict]) -> None:
    header, *lines = map(json.loads, shared[0].read_text().splitlines())
    assert (header["method"], header["masks"], header["classes"]["name"]) == ("given", 63, "in9")
    assert {tuple(line) for line in lines} == {("id", "split", "size", "counts")}


def test_photos_that_somebody_lacks_are_counted(shared: tuple[Path, dict], tiny_tree: TinyTree) -> None:
    tiny_tree.remove(3, 1)
    tiny_tree.remove(2, 0, "val")
    assert apply_masks(shared[0], bare(tiny_tree).root) == (61, 2)
    assert not tiny_tree.mask(3, 1).exists()


def test_masks_that_lie_there_stay(shared: tuple[Path, dict], tiny_tree: TinyTree) -> None:
    with pytest.raises(InputError, match=r"masks is not empty: remove it"):
        apply_masks(shared[0], tiny_tree.root)


HEADER = '{"format": "bgdata masks 1", "classes": null}\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no file of masks: expected its first line to say 'bgdata masks 1'"),
        ('{"id": "n02085620_1"}\n', "is no file of masks"),
        (f"{HEADER}{{", "line 2: expected JSON"),
        (f"{HEADER}[1]", "line 2: expected an object"),
        (f'{HEADER}{{"id": "a", "size": [1000000, 1000000], "counts": [1000000000000]}}', "a is of the size"),
        (f'{HEADER}{{"id": "a", "size": [2, 2], "counts": [3]}}', "the mask of a: the run lengths add up to 3"),
        (f'{HEADER}{{"id": "../../a", "size": [2, 2], "counts": [4]}}', "none of the 1 masks"),
    ],
)
def test_a_broken_file_is_one_sentence(tiny_tree: TinyTree, tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "masks.jsonl"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        apply_masks(file, bare(tiny_tree).root)
    assert sentence in str(error.value)
    assert not list(tmp_path.rglob("a.png"))
