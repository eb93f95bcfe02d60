"""Networks of transformers that have learned: of one image, each prompt gives its object's box, or its mask."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from bgdata.geometry import Box
from bgdata.masks.metrics import iou
from models.segmenters.base import Photo, Segmenter
from models.segmenters.keeping import box_iou
from models.segmenters.mm_grounding_dino import MMGroundingDino
from models.segmenters.sam3 import Sam3, _read_tokenizer
from models.segmenters.text_encoder import load_tokenizer
from tests.models.tiny_networks import write_bert
from tests.models.tiny_training import PHRASES, SIDE, box_of, draw_scene
from tests.models.tiny_transformers import tiny_mm_grounding_dino, tiny_sam3, write_clip_vocabulary
from tests.models.training_transformers import train_mm_grounding_dino, train_sam3

pytestmark = pytest.mark.slow


def overlaps(segmenter: Segmenter, *, scenes: int = 20) -> tuple[list[float], list[float]]:
    """IoU of each answer with the object that was named, and with the other one; 0 where there is none."""
    rng = np.random.default_rng(7)
    named, other = [], []
    for number in range(scenes):
        scene = draw_scene(rng)
        photos = [Photo(f"n1_{number}", 0, "n1", scene.image, None, (phrase,)) for phrase in PHRASES]
        answers = [answer.mask for answer in segmenter.segment(photos)]
        masks = [
            np.zeros_like(truth) if mask is None else mask for mask, truth in zip(answers, scene.masks, strict=True)
        ]
        named += [iou(mask, truth) for mask, truth in zip(masks, scene.masks, strict=True)]
        other += [iou(mask, truth) for mask, truth in zip(masks, scene.masks[::-1], strict=True)]
    return named, other


def box_overlaps(detector: MMGroundingDino, *, scenes: int = 20) -> tuple[list[float], list[float]]:
    """IoU of each prompt's best box with the object that was named, and with the other one; 0 where none was found."""
    rng = np.random.default_rng(7)
    named, other = [], []
    for _ in range(scenes):
        scene = draw_scene(rng)
        boxes = [Box(*box_of(mask)) for mask in scene.masks]
        answers = detector.detect([scene.image] * 2, [(phrase,) for phrase in PHRASES])
        for found, own, another in zip(answers, boxes, boxes[::-1], strict=True):
            best = found[0].box if found else (0.0, 0.0, 0.0, 0.0)
            named.append(box_iou(best, own))
            other.append(box_iou(best, another))
    return named, other


def test_mm_grounding_dino(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_bert(tmp_path / "bert"))

    def detector(network: nn.Module) -> MMGroundingDino:
        return MMGroundingDino(
            network, tokenizer, box_threshold=0.2, text_threshold=0.2, nms_iou=0.5, shorter=SIDE, longest=SIDE
        )

    network = tiny_mm_grounding_dino(queries=160, to_train=True)
    untrained, _ = box_overlaps(detector(network), scenes=5)
    named, other = box_overlaps(detector(train_mm_grounding_dino(network, tokenizer)))
    assert np.mean(untrained) < 0.1
    # Where this was written: 0.63, at least 0.29 with the named object, 0 with the other.
    assert np.mean(named) > 0.5
    assert min(named) > 0.15 > 0.05 > max(other)


def test_sam3(tmp_path: Path) -> None:
    tokenizer = _read_tokenizer(write_clip_vocabulary(tmp_path))

    def segmenter(network: nn.Module) -> Sam3:
        return Sam3(network, tokenizer, score_threshold=0.3, mask_threshold=0.5, keep="best", min_overlap=0.5)

    network = tiny_sam3()
    untrained, _ = overlaps(segmenter(network), scenes=5)
    named, other = overlaps(segmenter(train_sam3(network, tokenizer)))
    assert np.mean(untrained) < 0.2
    # Where this was written: 0.91, at least 0.83 with the named object, 0 with the other.
    assert np.mean(named) > 0.75
    assert min(named) > 0.5 > 0.1 > max(other)
