"""AP is pycocotools' own, to 1e-9, of a set and of every other draw of its images; and what is counted by hand."""

import contextlib
import copy
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bgdata.errors import InputError
from bgdata.masks.rle import encode_rle
from bgdata.transfer_sets.base import Instance, LabelledImage
from bgdata.transfer_sets.coco import coco_truth
from models.transfer.average_precision import METRICS, AveragePrecision, measure
from models.transfer.tasks import Scored, draw_counts, intervals

SIDE = 48
NAMES = ("dog", "bird", "fish", "none of these")
EXACTLY = {"rel": 0, "abs": 1e-9}
Predictions = list[list[dict[str, Any]]]


def instance(box: Sequence[int], label: int = 0, *, crowd: bool = False) -> Instance:
    x0, y0, x1, y1 = box
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y0:y1, x0:x1] = True
    mask[y0, x0] = False  # no mask is its box
    return Instance(label, (float(x0), float(y0), float(x1), float(y1)), mask, crowd)


def image(number: int, *instances: Instance) -> LabelledImage:
    return LabelledImage(f"photo{number}", np.zeros((SIDE, SIDE, 3), np.uint8), instances)


def result(found: Instance, score: float) -> dict[str, Any]:
    x0, y0, x1, y1 = found.box
    box, mask = [x0, y0, x1 - x0, y1 - y0], encode_rle(found.mask)
    return {"category_id": found.label + 1, "bbox": box, "segmentation": mask, "score": score}


def draw_box(rng: np.random.Generator, like: Instance | None = None) -> list[int]:
    if like is None:
        corner, size = rng.integers(0, SIDE - 16, 2), rng.integers(6, 16, 2)
        return [*corner.tolist(), *(corner + size).tolist()]
    moved = np.array(like.box, int) + rng.integers(-2, 3, 4)
    return np.clip([*moved[:2], *np.maximum(moved[2:], moved[:2] + 2)], 0, SIDE).astype(int).tolist()


def draw_fixture(seed: int, *, images: int = 12) -> tuple[Predictions, list[LabelledImage]]:
    """Objects and crowds, none in each fourth image; detections near some and anywhere, of scores that images share."""
    rng = np.random.default_rng(seed)
    truth, predictions = [], []
    for number in range(images):
        objects = [
            instance(draw_box(rng), int(rng.integers(3)), crowd=rng.random() < 0.15)
            for _ in range(0 if number % 4 == 3 else rng.integers(1, 6))
        ]
        near = [instance(draw_box(rng, one), one.label) for one in objects for _ in range(rng.integers(0, 3))]
        found = near + [instance(draw_box(rng), int(rng.integers(3))) for _ in range(rng.integers(0, 4))]
        scores = rng.permutation(20)[: len(found)] / 20  # of one image all others
        truth.append(image(number, *objects))
        predictions.append([result(*pair) for pair in zip(found, scores.tolist(), strict=True)])
    return predictions, truth


def pycocotools_says(predictions: Predictions, truth: Sequence[LabelledImage]) -> dict[str, float]:
    """By its own reading of results, all sizes of objects and limits of detections, and its own summary."""
    found = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for name, kind in (("box", "bbox"), ("mask", "segm")):
            coco = COCO()
            coco.dataset = coco_truth(truth, NAMES)
            coco.createIndex()
            numbered = enumerate(copy.deepcopy(predictions), start=1)
            results = [one | {"image_id": number} for number, each in numbered for one in each]
            if name == "mask":  # else its masks are boxes
                results = [{key: value for key, value in one.items() if key != "bbox"} for one in results]
            judge = COCOeval(coco, coco.loadRes(results), kind)
            judge.evaluate()
            judge.accumulate()
            judge.summarize()
            found |= {f"{name}_ap": float(judge.stats[0]), f"{name}_ap50": float(judge.stats[1])}
    return found


@pytest.mark.parametrize("seed", range(4))
def test_ap_is_that_of_pycocotools(seed: int) -> None:
    predictions, truth = draw_fixture(seed)
    said = measure(predictions, truth, NAMES).values
    assert tuple(said) == METRICS
    assert said == pytest.approx(pycocotools_says(predictions, truth), **EXACTLY)
    assert 0 < said["box_ap"] < said["box_ap50"] < 1


def test_more_detections_than_coco_counts() -> None:
    rng = np.random.default_rng(0)
    wanted = instance((4, 4, 20, 20))
    others = [result(instance(draw_box(rng)), 0.9 - number / 1000) for number in range(110)]
    predictions, truth = [[*others, result(wanted, 0.1)], [result(wanted, 0.5)]], [image(0, wanted), image(1, wanted)]
    said = measure(predictions, truth, NAMES).values
    assert said == pytest.approx(pycocotools_says(predictions, truth), **EXACTLY)


def test_draws_are_those_of_pycocotools_over_images_that_stand_several_times() -> None:
    predictions, truth = draw_fixture(3)
    counts = draw_counts(len(truth), seed=1, resamples=6)
    said = measure(predictions, truth, NAMES).resampled(counts)
    for draw, each in enumerate(counts):
        places = np.repeat(np.arange(len(truth)), each)
        repeated = pycocotools_says([predictions[place] for place in places], [truth[place] for place in places])
        assert {name: float(values[draw]) for name, values in said.items()} == pytest.approx(repeated, **EXACTLY)


def test_draws_do_not_depend_on_how_many_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions, truth = draw_fixture(4)
    scored, counts = measure(predictions, truth, NAMES), draw_counts(len(truth), seed=0, resamples=20)
    at_once = scored.resampled(counts)
    monkeypatch.setattr("models.transfer.average_precision._CHUNK", 1)
    for name, values in scored.resampled(counts).items():
        np.testing.assert_array_equal(values, at_once[name])


def ap_of(predictions: Predictions, *truth: LabelledImage) -> AveragePrecision:
    return measure(predictions, truth, NAMES)


def test_counted_by_hand() -> None:
    left, right = instance((2, 2, 20, 20)), instance((26, 26, 46, 46))
    found = ap_of([[result(left, 0.9), result(right, 0.8)]], image(0, left, right))
    assert found.values == pytest.approx(dict.fromkeys(METRICS, 1.0))
    # One of two: precision 1 up to a recall of 0.5, the 51st of the 101, and 0 beyond.
    half = ap_of([[result(left, 0.9)]], image(0, left, right))
    assert half.values == pytest.approx(dict.fromkeys(METRICS, 51 / 101))
    # The same, with a surer mistake in an image without objects: half of the precision.
    mistaken = ap_of([[result(left, 0.9)], [result(left, 0.95)]], image(0, left, right), image(1))
    assert mistaken.values == pytest.approx(dict.fromkeys(METRICS, 51 / 202))
    assert ap_of([[]], image(0, left)).values == dict.fromkeys(METRICS, 0.0)


def test_the_iou_is_that_of_masks_and_of_boxes() -> None:
    whole = instance((10, 10, 30, 30))
    ring = Instance(0, whole.box, whole.mask & ~instance((12, 12, 28, 28)).mask)  # IoU of the masks is about a third
    values = ap_of([[result(ring, 0.9)]], image(0, whole)).values
    assert values == pytest.approx({"box_ap": 1.0, "box_ap50": 1.0, "mask_ap": 0.0, "mask_ap50": 0.0})


def test_what_is_found_in_a_crowd_counts_neither_way() -> None:
    one, crowd = instance((2, 2, 14, 14)), instance((20, 20, 46, 46), crowd=True)
    in_crowd = [result(instance((22, 22, 32, 32)), 0.99), result(instance((30, 30, 40, 40)), 0.98)]
    found = ap_of([[*in_crowd, result(one, 0.5)]], image(0, one, crowd)).values
    assert found == pytest.approx(dict.fromkeys(METRICS, 1.0))
    outside = result(instance((2, 20, 14, 40)), 0.99)
    assert ap_of([[outside, result(one, 0.5)]], image(0, one, crowd)).values["box_ap50"] == pytest.approx(0.5)


def test_intervals_hold_the_value_and_shrink_to_it_where_images_are_alike() -> None:
    predictions, truth = draw_fixture(5)
    scored = measure(predictions, truth, NAMES)
    assert isinstance(scored, Scored)
    found = intervals(scored, len(truth), seed=0, resamples=60)
    assert found == intervals(scored, len(truth), seed=0, resamples=60)
    assert found != intervals(scored, len(truth), seed=1, resamples=60)
    for metric, value in scored.values.items():
        low, high = found[metric]
        assert 0 <= low < value < high <= 1
    one, other = instance((2, 2, 20, 20)), instance((26, 26, 46, 46))
    alike = ap_of([[result(one, 0.9)]] * 4, *(image(number, one, other) for number in range(4)))
    for low, high in intervals(alike, 4, seed=0, resamples=50).values():
        assert low == pytest.approx(51 / 101) and high == pytest.approx(51 / 101)


def test_draws_without_an_object_are_left_out() -> None:
    one = instance((2, 2, 20, 20))
    scored = ap_of([[result(one, 0.9)], []], image(0, one), image(1))
    found = scored.resampled(np.array([[0, 2], [2, 0]]))["box_ap"]
    assert np.isnan(found[0]) and found[1] == pytest.approx(1.0)
    for low, high in intervals(scored, 2, seed=0, resamples=50).values():
        assert low == pytest.approx(1.0) and high == pytest.approx(1.0)


def test_nothing_is_printed_or_written_into_what_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    predictions, truth = draw_fixture(0)
    before = copy.deepcopy(predictions)
    measure(predictions, truth, NAMES)
    assert capsys.readouterr() == ("", "")
    assert predictions == before


def test_what_cannot_be_judged() -> None:
    one = instance((2, 2, 20, 20))
    with pytest.raises(InputError, match=r"^1 images were predicted and 2 are to be judged: give the same images$"):
        ap_of([[]], image(0, one), image(1))
    crowd = instance((2, 2, 20, 20), crowd=True)
    with pytest.raises(
        InputError, match=r"^none of the 2 images has an object \(crowds do not count\): AP needs at le"
    ):
        ap_of([[], []], image(0, crowd), image(1))
