"""The adversarial gallery: its rates are brute force's, its examples are what they say."""

import json

import numpy as np
import pytest
import torch

from models.classifiers.judged import Judged
from models.evaluation import adversarial
from models.evaluation.adversarial import BACKGROUNDS, FOREGROUNDS, AdversarialGallery, choose_rated
from models.evaluation.challenge import Verdicts, challenge_score, judge_foregrounds
from models.evaluation.pairs import ChallengeData
from tests.models.test_challenge import brute_force, classifier, data, predictions

CPU = torch.device("cpu")
__all__ = ["classifier", "data"]  # fixtures


@pytest.fixture(scope="module")
def rated(data: ChallengeData) -> np.ndarray:
    return choose_rated(data, 3, seed=0)


@pytest.fixture(scope="module")
def verdicts(classifier: Judged, data: ChallengeData, rated: np.ndarray) -> Verdicts:
    return judge_foregrounds(classifier, data, device=CPU, eval_batch=64, full=rated)


@pytest.fixture(scope="module")
def fooled(classifier: Judged, data: ChallengeData) -> np.ndarray:
    return brute_force(classifier, data)


def gallery(classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray) -> dict:
    return AdversarialGallery(classifier, data, verdicts, rated=rated, device=CPU, seed=0).record()


def test_rated_foregrounds_are_a_seeded_choice_of_each_class(data: ChallengeData, rated: np.ndarray) -> None:
    labels, counts = np.unique(data.labels, return_counts=True)
    assert np.bincount(data.labels[rated], minlength=9)[labels].tolist() == np.minimum(counts, 3).tolist()
    assert choose_rated(data, None, seed=0).all()
    assert not choose_rated(data, 0, seed=0).any()
    more = choose_rated(data, 4, seed=0)
    assert (more >= rated).all() and more.sum() > rated.sum()
    assert any((choose_rated(data, 3, seed=seed) != rated).any() for seed in range(1, 9))


def test_marked_foregrounds_are_tried_on_everything_and_no_verdict_changes(
    data: ChallengeData, verdicts: Verdicts, rated: np.ndarray, fooled: np.ndarray
) -> None:
    assert verdicts.vulnerable.tolist() == fooled.any(1).tolist()
    assert verdicts.table.known[rated].all()
    assert not verdicts.table.known.all()
    score = challenge_score(verdicts, data, full=rated)
    assert score["rated_foregrounds"] == rated.sum()
    rates = [row["fooling_rate"] for row in score["foregrounds"] if "fooling_rate" in row]
    assert rates == pytest.approx(fooled[rated].mean(1).tolist())
    assert [row["fooling_rate"] for row in score["background_rates"]] == pytest.approx(fooled[rated].mean(0).tolist())


def test_background_rates_are_those_of_brute_force(
    classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray, fooled: np.ndarray
) -> None:
    shown = gallery(classifier, data, verdicts, rated)["backgrounds"]
    predicted = np.stack([predictions(classifier, data, row) for row in range(len(data.labels))])
    for label in range(9):
        others = rated & (data.labels != label)
        places = [place for place, of in enumerate(data.background_labels) if of == label]
        rates = sorted((fooled[others, place].mean() for place in places), reverse=True)
        of_class = [row for row in shown if row["label"] == label]
        assert [row["fooling_rate"] for row in of_class] == pytest.approx(rates[:BACKGROUNDS])
        for row in of_class:
            place = data.background_ids.index(row["id"])
            assert row["as_own_class"] == (predicted[others, place] == label).sum()
            assert row["fooled"] == round(row["fooling_rate"] * row["count"]) == fooled[others, place].sum()


def test_extreme_foregrounds_are_those_of_brute_force(
    classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray, fooled: np.ndarray
) -> None:
    record = gallery(classifier, data, verdicts, rated)
    rates = sorted(fooled[rated].mean(1))
    assert [row["fooling_rate"] for row in record["robust"]] == pytest.approx(rates[:FOREGROUNDS])
    assert [row["fooling_rate"] for row in record["fragile"]] == pytest.approx(rates[::-1][:FOREGROUNDS])
    for row in record["robust"] + record["fragile"]:
        assert row["fooling_rate"] == fooled[data.ids.index(row["id"])].mean()


def test_examples_show_what_the_model_says(
    classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray
) -> None:
    record = gallery(classifier, data, verdicts, rated)
    examples = [row["example"] for rows in record.values() for row in rows if row["example"] is not None]
    assert examples
    for example in examples:
        row, place = data.ids.index(example["foreground"]), data.background_ids.index(example["background"])
        assert example["predicted"] == predictions(classifier, data, row)[place] != example["label"]
    for row in record["backgrounds"]:
        if row["as_own_class"]:
            assert row["example"]["predicted"] == row["label"]


def test_the_same_choice_gives_the_same_bytes(
    classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray
) -> None:
    other = judge_foregrounds(classifier, data, device=CPU, eval_batch=7, full=rated)
    first, second = (json.dumps(gallery(classifier, data, found, rated)) for found in (verdicts, other))
    assert first == second


def test_without_rated_foregrounds_the_gallery_is_empty(classifier: Judged, data: ChallengeData) -> None:
    none = choose_rated(data, 0, seed=0)
    verdicts = judge_foregrounds(classifier, data, device=CPU, eval_batch=64, full=none)
    assert gallery(classifier, data, verdicts, none) == {"backgrounds": [], "robust": [], "fragile": []}
    assert "background_rates" not in challenge_score(verdicts, data, full=none)


def test_of_many_classes_those_are_named_whose_backgrounds_fool_most(
    classifier: Judged, data: ChallengeData, verdicts: Verdicts, rated: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gallery(classifier, data, verdicts, rated)
    rates = {
        label: np.mean([row["fooling_rate"] for row in whole["backgrounds"] if row["label"] == label])
        for label in sorted({row["label"] for row in whole["backgrounds"]})
    }
    assert len(rates) == 9 and "classes_left_out" not in whole
    for most in (1, 4, 8, 9):
        monkeypatch.setattr(adversarial, "CLASSES", most)
        bounded = gallery(classifier, data, verdicts, rated)
        named = {row["label"] for row in bounded["backgrounds"]}
        assert len(named) == most
        assert min(rates[label] for label in named) >= max([0, *(rates[label] for label in rates.keys() - named)])
        assert bounded["backgrounds"] == [row for row in whole["backgrounds"] if row["label"] in named]
        assert bounded.get("classes_left_out", 0) == 9 - most
        assert [bounded[end] for end in ("robust", "fragile")] == [whole[end] for end in ("robust", "fragile")]
