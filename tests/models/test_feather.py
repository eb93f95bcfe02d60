"""The challenge with soft edges: another challenge, by the same rules; without a feather nothing changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bgdata.compose.paste import feathered, paste_foreground
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import judged_classifier
from models.evaluation.challenge import SETS_READ, challenge_score, judge_foregrounds, open_challenge
from models.evaluation.pairs import ChallengeData, _AtRest, _OnDevice

CPU = torch.device("cpu")
RUN = {"device": CPU, "eval_batch": 16}


def opened(sets: Path, feather: float | None) -> ChallengeData:
    return open_challenge(open_sources(sets, SETS_READ), split="val", workers=1, feather=feather)[0]


def test_a_feather_softens_the_masks_and_nothing_else(sets: Path) -> None:
    hard, soft = opened(sets, None), opened(sets, 1.5)
    assert hard.masks.dtype == np.bool_
    assert soft.masks.dtype == np.float32
    assert np.array_equal(soft.masks[0], feathered(np.ascontiguousarray(hard.masks[0]), 1.5))
    assert ((soft.masks > 0) & (soft.masks < 1)).any()
    assert (soft.foregrounds == hard.foregrounds).all()
    assert (soft.backgrounds == hard.backgrounds).all()


def test_composites_are_those_of_the_one_formula_at_rest_and_on_a_device(sets: Path) -> None:
    data = opened(sets, 1.5)
    pairs = np.array([0, 1, 2]), np.array([3, 3, 0])
    at_rest = _AtRest(data).paste(*pairs)
    for place, (foreground, background) in enumerate(zip(*pairs, strict=True)):
        expected = paste_foreground(data.backgrounds[background], data.foregrounds[foreground], data.masks[foreground])
        assert (at_rest[place].permute(1, 2, 0) * 255 - torch.from_numpy(expected).float()).abs().max() < 1e-3
    # Another rounding of halves: a grey level at most.
    assert (_OnCpu(data).paste(*pairs) - at_rest).abs().max() <= 1.001 / 255


class _OnCpu(_OnDevice):
    """The device's way, on a CPU."""

    def __init__(self, data: ChallengeData) -> None:
        self._device = CPU
        self._foregrounds, self._masks, self._backgrounds = (
            torch.from_numpy(np.ascontiguousarray(array)) for array in (data.foregrounds, data.masks, data.backgrounds)
        )


def test_verdicts_without_a_feather_are_as_before_and_with_one_of_its_composites(sets: Path) -> None:
    hard, soft = opened(sets, None), opened(sets, 2.0)
    model = judged_classifier(build_classifier("resnet10", input_size=32, seed=2, classes=9), hard.class_list)
    as_alpha = replace(hard, masks=hard.masks.astype(np.float32))
    scores = [challenge_score(judge_foregrounds(model, data, **RUN), data) for data in (hard, as_alpha, soft)]
    verdicts = [[each["vulnerable"] for each in score["foregrounds"]] for score in scores]
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[2]) == len(verdicts[0])
