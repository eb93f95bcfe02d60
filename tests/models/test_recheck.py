"""Checking a result: what its model gives passes, what was changed is found and named."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bgdata.classes import plain_class_list
from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.evaluation.challenge import SETS_READ, challenge_score, judge_foregrounds, open_challenge
from models.evaluation.in9 import in9_score, judge_variants, recorded_predictions
from models.evaluation.recheck import compare_models, recheck_challenge, recheck_in9
from models.evaluation.submissions import ChallengeResult, In9Result, Predictions

CPU = torch.device("cpu")
HOW: dict[str, Any] = {"seed": 0, "device": CPU, "eval_batch": 4, "workers": 1}
BIRTH = {"model": {}, "command": "", "split": "val"}


@pytest.fixture(scope="module")
def model() -> Judged:
    return judged_classifier(build_classifier("resnet10", input_size=32, seed=1, classes=9), IN9)


@pytest.fixture(scope="module")
def in9(sets: Path, model: Judged) -> dict[str, Any]:
    sources = open_sources(sets, VARIANTS)
    judgements = judge_variants(model, sources, split="val", device=CPU, eval_batch=8, workers=1)
    return BIRTH | in9_score(judgements, among_nine=False) | {"predictions": recorded_predictions(judgements)}


@pytest.fixture(scope="module")
def challenge(sets: Path, model: Judged) -> dict[str, Any]:
    data, _ = open_challenge(open_sources(sets, SETS_READ), split="val", workers=1)
    return BIRTH | challenge_score(judge_foregrounds(model, data, device=CPU, eval_batch=8), data)


def recheck(result: dict[str, Any], sets: Path, model: Judged, *, sample: int = 5) -> list[str]:
    if "variants" in result:
        return recheck_in9(model, open_sources(sets, VARIANTS), In9Result.model_validate(result), sample=sample, **HOW)
    return recheck_challenge(
        model, open_sources(sets, SETS_READ), ChallengeResult.model_validate(result), sample=sample, **HOW
    )


def test_a_true_result_passes(sets: Path, model: Judged, in9: dict[str, Any], challenge: dict[str, Any]) -> None:
    assert recheck(in9, sets, model) == []
    assert recheck(challenge, sets, model) == []


def test_a_changed_sum_is_found(sets: Path, model: Judged, in9: dict[str, Any], challenge: dict[str, Any]) -> None:
    better = in9["variants"]["original"] | {"correct": 18, "accuracy": 1.0}
    found = recheck(in9 | {"variants": in9["variants"] | {"original": better}}, sets, model)
    assert found[0].startswith("original: its own predictions have ")
    assert found[0].endswith("it says 18 of 18")
    (found,) = recheck(challenge | {"challenge_accuracy": 0.99}, sets, model)
    assert "an accuracy of 0.99" in found


def test_changed_predictions_and_verdicts_are_named(
    sets: Path, model: Judged, in9: dict[str, Any], challenge: dict[str, Any]
) -> None:
    cells = in9["predictions"]["only_fg"]
    other = "".join(str((int(digit) + 1) % 9) for digit in cells["classes"])
    changed = in9 | {"predictions": in9["predictions"] | {"only_fg": cells | {"classes": other}}}
    named = [sentence for sentence in recheck(changed, sets, model, sample=4) if " class " in sentence]
    assert len(named) == 4
    assert all(sentence.startswith("only_fg n0000000") for sentence in named)
    turned = [row | {"vulnerable": not row["vulnerable"]} for row in challenge["foregrounds"]]
    named = recheck(challenge | {"foregrounds": turned}, sets, model, sample=3)
    assert len([sentence for sentence in named if "recorded" in sentence]) == 3


def test_another_model_is_found(sets: Path, in9: dict[str, Any]) -> None:
    other = judged_classifier(build_classifier("resnet10", input_size=32, seed=2, classes=9), IN9)
    assert recheck(in9, sets, other, sample=18)
    said = compare_models({"checkpoint": "a.pt", "arch": "x", "size": None}, {"checkpoint": "b.pt", "arch": "y"})
    assert said == ["model: arch is y, recorded x"]


@pytest.mark.parametrize(
    ("recorded", "labels"),
    [("", []), ("7", [7]), ("0189", [0, 1, 8, 9]), ("12", [1, 2]), ("12 0 199", [12, 0, 199]), ("199", [199])],
)
def test_predictions_are_digits_of_few_classes_and_numbers_of_many(recorded: str, labels: list[int]) -> None:
    cells = Predictions.model_validate({"photos_sha256": "", "classes": recorded})
    assert cells.labels(len(labels)) == labels


def test_numbers_with_spaces_are_checked_as_digits_are(sets: Path, model: Judged, in9: dict[str, Any]) -> None:
    spaced = {variant: cells | {"classes": " ".join(cells["classes"])} for variant, cells in in9["predictions"].items()}
    assert recheck(in9 | {"predictions": spaced}, sets, model) == []


def test_a_result_of_other_classes_than_the_datas_is_refused(
    sets: Path, model: Judged, in9: dict[str, Any], challenge: dict[str, Any]
) -> None:
    record = {"class_list": plain_class_list("pets", ("cat", "dog")).to_record()}
    for result in (in9, challenge):
        with pytest.raises(InputError, match=r"the result has the classes pets .*, but .* has in9 \(9 classes"):
            recheck(result | record, sets, model)


def test_other_photos_are_refused(sets: Path, model: Judged, in9: dict[str, Any], challenge: dict[str, Any]) -> None:
    cells = in9["predictions"]["original"] | {"photos_sha256": "0" * 64}
    with pytest.raises(InputError, match="are not the 18 of --data"):
        recheck(in9 | {"predictions": in9["predictions"] | {"original": cells}}, sets, model)
    with pytest.raises(InputError, match="has no predictions of original"):
        recheck(in9 | {"predictions": {}}, sets, model)
    with pytest.raises(InputError, match="was run on 17 foregrounds"):
        recheck(challenge | {"foregrounds": challenge["foregrounds"][1:]}, sets, model)
