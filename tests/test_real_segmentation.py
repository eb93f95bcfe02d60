"""The sets with true masks and the judge on real photos, where this machine has them."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from bgdata.masks.metrics import dice, iou
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet
from models.evaluation.segmentation import TrueMasks, evaluate_segmenter, photo_of
from models.evaluation.segmentation_summary import summarise
from models.segmenters.grabcut import GrabCut
from tests.conftest import ROOT

DATA = ROOT.parent / "shared" / "data"
COCO8, DAVIS = DATA / "coco8", DATA / "davis2016"
needs_coco = pytest.mark.skipif(not COCO8.is_dir(), reason=f"no photos in {COCO8}")
needs_davis = pytest.mark.skipif(not DAVIS.is_dir(), reason=f"no photos in {DAVIS}")


@needs_coco
def test_cocos_truth_is_pycocotools_to_the_pixel() -> None:
    data = CocoSet(COCO8)
    assert data.counts == {"images": 4, "images_without_object": 0, "samples": 7, "categories": 7}
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(COCO8 / "annotations/instances_val2017.json"))
    for sample in data.samples:
        wanted = reference.getCatIds(catNms=[sample.category])
        annotations = reference.loadAnns(reference.getAnnIds(imgIds=[int(sample.image_id)], catIds=wanted))
        with warnings.catch_warnings():
            # pycocotools 2.0.11's `decode` under numpy 2.4
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            masks = [reference.annToMask(annotation) for annotation in annotations]
        np.testing.assert_array_equal(data.read(sample).mask, np.logical_or.reduce(masks))


@needs_coco
@needs_davis
@pytest.mark.parametrize("reader", [CocoSet, DavisSet])
def test_the_truth_scores_exactly_one(reader: type[CocoSet] | type[DavisSet]) -> None:
    data = reader(COCO8 if reader is CocoSet else DAVIS)
    evaluation = evaluate_segmenter(TrueMasks(data), data, count=100, seed=0)
    summary = summarise(evaluation, clustered_by=data.clustered_by, seed=0)
    assert (summary["mean_iou"], summary["mean_dice"], summary["misses"]) == (1.0, 1.0, 0)
    assert summary["count"] == data.counts["samples"]


def davis_j(annotation: np.ndarray, segmentation: np.ndarray) -> float:
    """Region similarity by the formula of DAVIS' own evaluation: |A and S| / |A or S|, 1 where both are empty."""
    union = np.sum(annotation | segmentation, dtype=np.float64)
    return float(np.sum(annotation & segmentation) / union) if union else 1.0


@needs_davis
def test_iou_is_davis_region_similarity_on_the_real_masks() -> None:
    data = DavisSet(DAVIS)
    assert data.counts == {"images": 67, "images_without_object": 0, "samples": 67, "categories": 8}
    segmenter = GrabCut(iterations=1, seed=0)
    for number, sample in enumerate(data.samples):
        truth = data.read(sample)
        name = DAVIS / "Annotations" / "480p" / f"{sample.image_id}.png"
        annotation = np.asarray(Image.open(name)) > 127
        np.testing.assert_array_equal(truth.mask, annotation)
        # The true mask moved, mirrored and emptied; and a real prediction of some.
        predictions = [np.roll(annotation, (3, -5), axis=(0, 1)), annotation[::-1], annotation & False]
        if number % 30 == 0:
            predictions += [answer.mask for answer in segmenter.segment([photo_of(sample, truth)])]
        for prediction in predictions:
            overlap = iou(prediction, truth.mask)
            assert overlap == pytest.approx(davis_j(annotation, prediction), abs=1e-6)
            assert dice(prediction, truth.mask) == pytest.approx(2 * overlap / (1 + overlap), abs=1e-9)


@needs_davis
def test_grabcut_from_true_boxes_is_as_good_as_it_was() -> None:
    data = DavisSet(DAVIS)
    evaluation = evaluate_segmenter(GrabCut(iterations=1, seed=0), data, count=6, seed=0, workers=2)
    assert np.mean([score.iou for score in evaluation.scores]) > 0.5
