"""Several masks a photo: their order, none twice, and what SAM and what stands on it offer."""

from dataclasses import replace

import numpy as np
import pytest

from bgdata.geometry import Box
from bgdata.masks.metrics import iou
from models.segmenters.base import Candidate
from models.segmenters.candidates import candidates_of, count_choices
from models.segmenters.grounded_sam import GroundedSam
from models.segmenters.sam import BoxMasks
from models.segmenters.sam_boxes import SamBoxes
from tests.models.test_grounded_sam import BEST, SECOND, Told, photo
from tests.models.tiny_networks import tiny_sam

BOXES = [BEST.box, SECOND.box]


@pytest.fixture(scope="module")
def masks() -> BoxMasks:
    return BoxMasks(tiny_sam(side=128, patch=16), multimask=True)


def square(*places: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((40, 40), bool)
    for y0, y1, x0, x1 in places:
        mask[y0:y1, x0:x1] = True
    return mask


def test_the_methods_own_choice_is_first_and_nothing_is_there_twice() -> None:
    large, small = (0, 20, 0, 20), (30, 36, 30, 36)
    both = square(large, small)
    parts = [
        Candidate(square(large), "box 1", 0.9),
        Candidate(square(small), "box 2", 0.8),
        Candidate(square(), "box 3", 0.7),
        Candidate(square(large, (0, 20, 20, 30)), "box 1, mask 2", 0.6),
    ]
    found = candidates_of(both, parts, score=0.5, count=9)
    # The large square alone is 0.92 of both: the same.
    assert [(one.of, one.score) for one in found] == [("all", 0.5), ("box 2", 0.8), ("box 1, mask 2", 0.6)]
    assert found[0].mask is both
    assert candidates_of(both, parts, score=0.5, count=2) == found[:2]
    assert candidates_of(both, parts, count=0) == ()
    assert candidates_of(square(), parts, count=9) == ()


def test_the_largest_piece_is_one_of_them() -> None:
    two = square((0, 20, 0, 20), (22, 40, 22, 40))
    found = candidates_of(two, count=9)
    assert [one.of for one in found] == ["all", "largest piece"]
    assert np.array_equal(found[1].mask, square((0, 20, 0, 20)))


def test_sam_offers_the_union_first_and_all_masks_of_each_box(masks: BoxMasks) -> None:
    image = photo().image
    offered = masks.offer([image], [BOXES], count=20)[0]
    union, scores = masks.segment([image], [BOXES])[0]
    assert np.array_equal(offered.union, union)
    assert offered.scores == scores
    assert np.array_equal(offered.candidates[0].mask, union)
    assert len(offered.candidates) > 2
    for one in offered.candidates:
        if one.of in ("box 1", "box 2"):
            alone, (score,) = masks.segment([image], [[BOXES[int(one.of[-1]) - 1]]])[0]
            assert iou(one.mask, alone) > 0.99  # two boxes in one product round otherwise than one
            assert one.score == pytest.approx(score, abs=1e-5)
    few = masks.offer([image], [BOXES], count=2)[0].candidates
    assert [one.of for one in few] == [one.of for one in offered.candidates[:2]]
    assert masks.offer([image], [BOXES], count=0)[0].candidates == ()


def test_answers_are_the_same_whether_candidates_are_asked_for_or_not(masks: BoxMasks) -> None:
    boxed = photo(1, box=Box(10, 10, 40, 40))
    for segmenter in (SamBoxes(masks), GroundedSam(Told([], [BEST, SECOND]), masks, keep="all", min_overlap=0.5)):
        (plain,), (rich,) = segmenter.segment([boxed]), replace(segmenter, candidates=6).segment([boxed])
        assert plain.candidates == ()
        assert np.array_equal(plain.mask, rich.mask)
        assert np.array_equal(rich.candidates[0].mask, rich.mask)
        assert (plain.score, plain.detections) == (rich.score, rich.detections)
        assert len(rich.candidates) > 1


def test_choices_are_counted() -> None:
    rows = [
        {"id": "a", "candidate": "0", "chosen": 0},
        {"id": "a", "candidate": "1", "chosen": 1},
        {"id": "b", "candidate": "0", "chosen": 1},
        {"id": "c", "candidate": "0", "chosen": 1},
        {"id": "c", "candidate": "1", "chosen": 0},
    ]
    assert count_choices(rows) == {"candidates": 5, "photos_with_several": 2, "other_than_by_score": 1}
