import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from bgdata.compose.paste import paste_foreground
from models.classifiers import Classifier, build_classifier
from models.evaluation import challenge
from models.evaluation.challenge import ChallengeData, challenge_score, judge_foregrounds, open_challenge

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Untrained, with a head that makes its answers depend on the image."""
    classifier = build_classifier("resnet10", input_size=32, classes=3, seed=2).eval()
    with torch.no_grad():
        classifier.network.fc.weight.mul_(20)
    return classifier


@pytest.fixture(scope="module")
def data(classifier: Classifier) -> ChallengeData:
    """Foregrounds labelled as the network sees most of them, so that both verdicts occur."""
    rng = np.random.default_rng(1)
    count, backgrounds, side = 24, 16, 40
    foregrounds = rng.integers(0, 256, (count, 1, 1, 3)) + rng.integers(-60, 60, (count, side, side, 3))
    masks = np.zeros((count, side, side), bool)
    for mask in masks:
        top, left = rng.integers(0, 12, 2)
        mask[top : top + 26, left : left + 26] = True
    plain = rng.integers(0, 256, (backgrounds, 1, 1, 3)) + rng.integers(-20, 20, (backgrounds, side, side, 3))
    made = ChallengeData(
        foregrounds.clip(0, 255).astype(np.uint8), masks, np.zeros(count, np.int64), plain.clip(0, 255).astype(np.uint8)
    )
    labels = [np.bincount(predictions(classifier, made, index)).argmax() for index in range(count)]
    return dataclasses.replace(made, labels=np.array(labels, np.int64))


def predictions(classifier: Classifier, data: ChallengeData, index: int) -> np.ndarray:
    """One foreground on each background, one by one, as the definition says."""
    composites = [paste_foreground(bg, data.foregrounds[index], data.masks[index]) for bg in data.backgrounds]
    with torch.inference_mode():
        images = [torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255 for image in composites]
        return np.array([int(classifier(image).argmax()) for image in images])


def brute_force(classifier: Classifier, data: ChallengeData) -> list[bool]:
    return [bool((predictions(classifier, data, i) != label).any()) for i, label in enumerate(data.labels)]


def test_verdicts_are_those_of_brute_force(classifier: Classifier, data: ChallengeData) -> None:
    verdicts = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    assert verdicts.vulnerable.tolist() == brute_force(classifier, data)
    assert 0 < verdicts.vulnerable.sum() < len(data.labels)
    robust = int((~verdicts.vulnerable).sum())
    assert robust * len(data.backgrounds) <= verdicts.forward_passes < len(data.labels) * len(data.backgrounds)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_verdicts_on_cuda_are_those_of_the_cpu(classifier: Classifier, data: ChallengeData) -> None:
    on_cpu = judge_foregrounds(copy.deepcopy(classifier), data, device=CPU, eval_batch=64).vulnerable
    on_cuda = judge_foregrounds(copy.deepcopy(classifier), data, device=torch.device("cuda"), eval_batch=64).vulnerable
    assert (on_cpu == on_cuda).all()


@pytest.mark.parametrize(("eval_batch", "group", "pairs"), [(1, 32, 128), (7, 32, 128), (500, 5, 8), (64, 100, 1)])
def test_batches_and_order_do_not_change_verdicts(
    classifier: Classifier,
    data: ChallengeData,
    monkeypatch: pytest.MonkeyPatch,
    eval_batch: int,
    group: int,
    pairs: int,
) -> None:
    expected = judge_foregrounds(classifier, data, device=CPU, eval_batch=64).vulnerable
    monkeypatch.setattr(challenge, "_GROUP", group)
    monkeypatch.setattr(challenge, "_ROUND", pairs)
    reversed_data = dataclasses.replace(data, backgrounds=data.backgrounds[::-1].copy())
    for tried in (data, reversed_data):
        assert (judge_foregrounds(classifier, tried, device=CPU, eval_batch=eval_batch).vulnerable == expected).all()


def test_more_backgrounds_never_raise_challenge_accuracy(classifier: Classifier, data: ChallengeData) -> None:
    before = np.zeros(len(data.labels), bool)
    for count in (1, 3, 8, 16):
        fewer = dataclasses.replace(data, backgrounds=data.backgrounds[:count])
        vulnerable = judge_foregrounds(classifier, fewer, device=CPU, eval_batch=64).vulnerable
        assert (vulnerable >= before).all()
        before = vulnerable


def test_a_killed_challenge_goes_on_to_the_same_result(
    classifier: Classifier, data: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "_GROUP", 8)
    unbroken = judge_foregrounds(classifier, data, device=CPU, eval_batch=64)
    write, writes = challenge.write_text_whole, []

    def write_then_die(path: Path, text: str) -> None:
        write(path, text)
        writes.append(path)
        if len(writes) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(challenge, "write_text_whole", write_then_die)
    with pytest.raises(KeyboardInterrupt):
        judge_foregrounds(classifier, data, device=CPU, eval_batch=64, progress=tmp_path / "progress.json")
    resumed = judge_foregrounds(classifier, data, device=CPU, eval_batch=64, progress=tmp_path / "progress.json")
    assert len(writes) == 3
    assert (resumed.vulnerable == unbroken.vulnerable).all()
    assert resumed.forward_passes == unbroken.forward_passes


def test_the_score_counts_foregrounds_and_classes(sets: Path) -> None:
    classifier = build_classifier("resnet10", input_size=32)
    data, rows = open_challenge(sets, split="val", workers=2)
    score = challenge_score(judge_foregrounds(classifier, data, device=CPU, eval_batch=64), data, rows)
    assert score["count"] == score["backgrounds"] == len(rows) == 18
    assert score["vulnerable"] == sum(row["vulnerable"] for row in score["foregrounds"])
    assert score["challenge_accuracy"] == pytest.approx(1 - score["vulnerable"] / 18)
    assert sum(row["vulnerable"] for row in score["per_class"].values()) == score["vulnerable"]
    assert list(score["per_class"])[2] == "02_wheeled vehicle"
    assert score["per_class"]["00_dog"]["count"] == 2
    assert score["foregrounds"][0] == {
        "id": rows[0].id,
        "label": 0,
        "vulnerable": score["foregrounds"][0]["vulnerable"],
    }
