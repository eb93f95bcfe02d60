"""The judges take their classes from a list: of 2, of 12 and of 120, and of four that ImageNet's outputs speak for."""

import numpy as np
import pytest
import torch
from torch import nn

from bgdata.classes import ClassList, plain_class_list
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.prompts import imagenet_wnids
from models.classifiers.judged import Judged
from models.evaluation.groups import MIN_GROUP, worst_group
from models.evaluation.in9 import Judgement, in9_score, predict, recorded_predictions
from models.evaluation.probes import Features, fit_probe

CPU = torch.device("cpu")

WNIDS = imagenet_wnids()
# Classes of unlike sizes, in another order than ImageNet's.
FOUR = ClassList(
    "four", ("d", "a", "c", "b"), ((WNIDS[900],), (WNIDS[5], WNIDS[700]), (WNIDS[0],), tuple(WNIDS[10:40]))
)


def numbered(count: int) -> ClassList:
    return plain_class_list(f"list of {count}", [f"class {label}" for label in range(count)])


def judgement(classes: ClassList, labels: list[int], predicted: list[int]) -> Judgement:
    ids = [f"p{index:04d}" for index in range(len(labels))]
    return Judgement(
        ids, np.array(labels), np.array(predicted), np.array(predicted), np.full(len(ids), 0.5, np.float32), classes
    )


@pytest.mark.parametrize("count", [2, 12, 120])
def test_a_network_of_as_many_outputs_is_read_as_it_is(count: int) -> None:
    torch.manual_seed(count)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, count))
    model = Judged(network, class_list=numbered(count), classes=count)
    pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), np.uint8)
    predicted, among, confidence = predict(model, pixels, device=CPU, batch=3)
    with torch.inference_mode():
        by_hand = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).softmax(1)
    assert predicted.tolist() == among.tolist() == by_hand.argmax(1).tolist()
    assert np.allclose(confidence, by_hand.amax(1).numpy(), atol=1e-6)
    assert not model.has_outside


def test_a_thousand_outputs_speak_for_a_list_through_its_wnids() -> None:
    logits = torch.randn(300, 1000, generator=torch.Generator().manual_seed(1))
    model = Judged(nn.Identity(), class_list=FOUR, classes=1000)
    label = {wnid: place for place, members in enumerate(FOUR.wnids) for wnid in members}
    expected = [label.get(WNIDS[int(best)], 4) for best in logits.argmax(1)]
    assert model.has_outside
    assert model.class_logits(logits).argmax(1).tolist() == expected
    inside = model.among_nine()
    assert not inside.has_outside
    for row, found in zip(logits[:50], inside.class_logits(logits[:50]), strict=True):
        best = [max(float(row[WNIDS.index(wnid)]) for wnid in members) for members in FOUR.wnids]
        assert found.tolist() == best
    mass = model.class_probabilities(logits)
    assert torch.allclose(mass[:, 2], logits.softmax(1)[:, 0], atol=1e-6)
    assert torch.allclose(mass.sum(1), torch.ones(300), atol=1e-5)


def test_a_list_of_all_wnids_has_nothing_outside() -> None:
    halves = ClassList("halves", ("even", "odd"), (tuple(sorted(WNIDS[::2])), tuple(sorted(WNIDS[1::2]))))
    model = Judged(nn.Identity(), class_list=halves, classes=1000)
    logits = torch.randn(40, 1000, generator=torch.Generator().manual_seed(2))
    assert not model.has_outside
    assert model.class_logits(logits).shape == (40, 2)
    assert model.class_logits(logits).argmax(1).tolist() == (logits.argmax(1) % 2).tolist()


@pytest.mark.parametrize(
    ("classes", "outputs", "sentence"),
    [
        (numbered(2), 1000, "has no wnids for 'class 0'.*give a list with wnids, or a model of 2 outputs"),
        (ClassList("odd", ("x",), (("n99999999",),)), 1000, "n99999999 of odd .* is none of ImageNet's 1,000 wnids"),
        (numbered(12), 9, "the model has 9 outputs, expected 12 .one for each class of list of 12"),
    ],
    ids=["no wnids", "unknown wnid", "other outputs"],
)
def test_outputs_that_cannot_speak_for_a_list_are_a_sentence(classes: ClassList, outputs: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Judged(nn.Identity(), class_list=classes, classes=outputs)


def test_a_score_is_counted_by_the_list() -> None:
    classes = numbered(2)
    first = judgement(classes, [0, 0, 1, 1], [0, 1, 1, 1])
    second = judgement(classes, [0, 0, 1, 1], [1, 1, 1, 0])
    score = in9_score({"original": first, "only_fg": second}, among_nine=False)
    assert score["class_list"] == classes.to_record()
    assert score["chance"] == 0.5
    assert score["variants"]["original"]["confusion"] == [[1, 1], [0, 2]]
    assert score["variants"]["original"]["per_class"]["00_class 0"]["accuracy"] == 0.5
    moved = score["transitions"]["original to only_fg"]
    assert moved["predictions"] == [[0, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert (moved["kept_right"], moved["lost"], moved["won"], moved["kept_wrong"]) == (1, 2, 0, 1)


def test_matrices_of_many_classes_list_what_occurs() -> None:
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 120, 500).tolist(), rng.integers(0, 121, 500).tolist()
    one = judgement(numbered(120), labels, predicted)
    score = in9_score({"original": one, "only_fg": one}, among_nine=True)
    listed = score["variants"]["original"]["confusion"]
    pairs = list(zip(labels, predicted, strict=True))
    assert listed == [[*pair, pairs.count(pair)] for pair in sorted(set(pairs))]
    moved = score["transitions"]["original to only_fg"]["predictions"]
    assert moved == [[label, label, predicted.count(label)] for label in sorted(set(predicted))]
    assert next(iter(score["variants"]["original"]["per_class"])) == "000_class 0"


def test_predictions_are_digits_as_long_as_one_digit_says_all() -> None:
    few = recorded_predictions({"original": judgement(IN9, [0, 1], [9, 3])})
    many = recorded_predictions({"original": judgement(numbered(12), [0, 1], [12, 3])})
    assert few["original"]["classes"] == "93"
    assert many["original"]["classes"] == "12 3"
    ten = recorded_predictions({"original": judgement(numbered(10), [0, 1], [1, 0])})
    assert ten["original"]["classes"] == "1 0"


def test_variants_of_different_lists_are_a_sentence() -> None:
    one, other = judgement(numbered(2), [0, 1], [0, 1]), judgement(numbered(12), [0, 1], [0, 1])
    with pytest.raises(InputError, match=r"original has the classes list of 2.*but only_fg has list of 12"):
        in9_score({"original": one, "only_fg": other}, among_nine=False)


def test_the_worst_group_of_many_classes_is_named() -> None:
    labels = np.repeat([119, 3], MIN_GROUP)
    backgrounds = np.repeat([118, 3], MIN_GROUP)
    correct = np.arange(2 * MIN_GROUP) % 2 == 0
    correct[MIN_GROUP:] = True
    worst = worst_group(labels, backgrounds, correct, classes=numbered(120))
    assert worst is not None
    assert (worst["class"], worst["background"]) == ("class 119", "class 118")
    assert (worst["accuracy"], worst["groups"], worst["too_small"]) == (0.5, 2, 0)


def test_a_probe_has_as_many_classes_as_the_list() -> None:
    labels = np.repeat(np.arange(12), 5)
    values = np.eye(12, dtype=np.float32)[labels]
    features = Features(values, labels, tuple(f"n{index:03d}" for index in range(60)), numbered(12))
    probe = fit_probe(features, seed=0, l2=[0.001])
    assert probe.weight.shape == (12, 12)
    assert (values @ probe.weight.T + probe.bias).argmax(1).tolist() == labels.tolist()
