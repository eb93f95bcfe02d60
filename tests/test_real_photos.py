"""The same on real ImageNet photos, where this machine has them."""

import json
from pathlib import Path

import pytest

from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.inspection import inspect_candidates
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.shards import ImageSet
from models.evaluation.segmentation import evaluate_segmenter
from models.segmenters.grabcut import GrabCut
from models.segmenters.run import segment_photos
from models.segmenters.settings import SegmentJob
from tests.conftest import IMAGENET_SAMPLE

pytestmark = pytest.mark.skipif(not IMAGENET_SAMPLE.is_dir(), reason=f"no photos in {IMAGENET_SAMPLE}")
PAPER = FilterSettings(require_box=True, max_box_share=0.9, min_box_kept=0.5)
# The sample has 2 val photos of three classes, and the paper's filter of large boxes takes some of them.
LOOSE = FilterSettings(require_box=True, max_box_share=1.0, min_box_kept=0.3)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sets `photos` and `given_masks` of the sample."""
    folder = tmp_path_factory.mktemp("real")
    options = IngestSettings(
        filters=LOOSE,
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0.0,
        photos_per_shard=100,
    )
    tree = find_tree(IMAGENET_SAMPLE)
    ingest_photos(tree, list_candidates(tree), folder, settings=options, seed=0, workers=1)
    return folder


def test_every_photo_is_read_and_the_papers_filters_take_large_boxes(tmp_path: Path) -> None:
    candidates = list_candidates(find_tree(IMAGENET_SAMPLE))
    found = inspect_candidates(candidates, tmp_path, settings=PAPER, workers=1)
    reasons = [finding.reason for _, finding in found]
    assert len(reasons) == 177
    assert {reason: reasons.count(reason) for reason in set(reasons)} == {
        None: 137,
        "box_too_large": 38,
        "box_outside_crop": 2,
    }


def test_all_given_masks_pass(work: Path) -> None:
    settings = SegmentJob(
        method="given",
        clean=CleanSettings(min_piece=0.02, max_hole=0.02, largest_only=False),
        quality=QualitySettings(min_box_share=0.1, max_photo_share=0.95),
    )
    manifest = segment_photos(work / "photos", work / "given_masks", work / "out", settings=settings, seed=0, workers=1)
    assert (manifest["photos"], manifest["rejected"]) == (177, {})
    assert json.loads((work / "photos/manifest.json").read_text())["images"]["train"]["00_dog"] == 43


def test_grabcut_is_as_good_as_it_was(work: Path) -> None:
    with ImageSet(work / "photos") as photos, ImageSet(work / "given_masks") as given:
        data = PhotoSet(photos, given, split="train")
        scores = evaluate_segmenter(GrabCut(iterations=1, seed=0), data, count=8, seed=0).scores
    assert len(scores) == 8
    assert sum(score.iou for score in scores) / 8 > 0.55
