"""Averages of weights: of equal ones they are those, and a killed training comes to the same."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from models.classifiers.classifier import Classifier, build_classifier
from models.training import loop
from models.training.averaging import build_averaging
from models.training.norms import refresh_statistics
from models.training.parts import Averaging
from models.training.run import Run
from models.training.settings import AdapterSettings, AveragingSettings, RecipeSettings
from models.training.tuning import prepare_classifier
from tests.models.test_training import CPU, SETTINGS, Killed, assert_same, die_after_saving, fit_classifier, opened

SWA = AveragingSettings(kind="swa", start=0.5, lr=0.01)
FROM_THE_START = AveragingSettings(kind="swa", start=0.0, lr=0.01)
EMA = AveragingSettings(kind="ema", decay=0.9)
KINDS = pytest.mark.parametrize("settings", [SWA, EMA], ids=["swa", "ema"])
SHORT = SETTINGS.model_copy(update={"epochs": 2})
LORA = AdapterSettings(kind="lora", layers=[r"layer4\..*conv2"], rank=2, alpha=1)


def classifier_of(seed: int = 1) -> Classifier:
    return build_classifier("resnet10", input_size=32, classes=9, seed=seed)


def weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in classifier.named_parameters()}


def show(averaging: Averaging, classifier: Classifier, epoch: int, epochs: int = 4) -> None:
    averaging.after_step(classifier, epoch / epochs)
    averaging.collect(classifier, epoch / epochs)


def started(settings: AveragingSettings, classifier: Classifier) -> Averaging:
    averaging = build_averaging(settings)
    averaging.begin(classifier)
    return averaging


@KINDS
def test_the_average_of_equal_weights_is_the_weights(settings: AveragingSettings) -> None:
    classifier = classifier_of()
    averaging, before = started(settings, classifier), weights(classifier)
    for epoch in (1, 2, 3, 4):
        show(averaging, classifier, epoch)
    averaging.finish(classifier, lambda: None)
    assert_same(weights(classifier), before)


def test_swa_is_the_mean_of_the_epochs_from_its_start_on() -> None:
    classifier = classifier_of()
    averaging, seen = started(SWA, classifier), []
    for epoch in (1, 2, 3, 4):
        other = classifier_of(seed=epoch)
        show(averaging, other, epoch)
        seen.append(weights(other))
    refreshed = []
    averaging.finish(classifier, lambda: refreshed.append(True))
    assert refreshed == [True]
    for name, value in weights(classifier).items():
        assert torch.allclose(value, (seen[2][name] + seen[3][name]) / 2, atol=1e-6), name


def test_swa_holds_its_rate_from_its_start_on() -> None:
    averaging = build_averaging(SWA)
    assert [averaging.rate(0.3, progress) for progress in (0.0, 0.49, 0.5, 0.99)] == [0.3, 0.3, 0.01, 0.01]
    assert build_averaging(None).rate(0.3, 0.9) == build_averaging(EMA).rate(0.3, 0.9) == 0.3


def test_ema_follows_its_formula_and_without_a_memory_the_last_weights() -> None:
    for decay in (0.9, 1e-12):
        classifier = classifier_of()
        averaging = started(AveragingSettings(kind="ema", decay=decay), classifier)
        expected = last = None
        for step in (1, 2, 3):
            last = weights(other := classifier_of(seed=step))
            averaging.after_step(other, step / 3)
            expected = {key: decay * (expected or last)[key] + (1 - decay) * value for key, value in last.items()}
        averaging.finish(classifier, lambda: None)
        for name, value in weights(classifier).items():
            assert torch.allclose(value, expected[name], atol=1e-6), name
            assert decay > 0.5 or torch.allclose(value, last[name], atol=1e-9), name


@pytest.mark.parametrize(
    ("settings", "adapter"), [(FROM_THE_START, None), (EMA, None), (EMA, LORA)], ids=["swa", "ema", "ema of lora"]
)
def test_a_killed_training_comes_to_the_same_average(
    sets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: AveragingSettings,
    adapter: AdapterSettings | None,
) -> None:
    def fresh() -> Classifier:
        classifier = classifier_of()
        prepare_classifier(classifier, RecipeSettings(start="init", data="original", adapter=adapter), seed=2)
        return classifier

    recipe = opened(sets, tmp_path / "pixels", averaging=settings)
    unbroken = fresh()
    fit_classifier(unbroken, recipe, tmp_path / "unbroken", SHORT)
    die_after_saving(monkeypatch, 1)
    with pytest.raises(Killed):
        fit_classifier(fresh(), recipe, tmp_path / "killed", SHORT)
    resumed = fresh()
    fit_classifier(resumed, recipe, tmp_path / "killed", SHORT)
    assert_same(unbroken.state_dict(), resumed.state_dict())


def test_batch_statistics_are_those_of_the_average(sets: Path, tmp_path: Path) -> None:
    recipe = opened(sets, tmp_path / "pixels", averaging=EMA)
    classifier = classifier_of()
    fit_classifier(classifier, recipe, tmp_path / "run", SHORT)
    statistics = {name: value.clone() for name, value in classifier.named_buffers() if "running" in name}
    inputs: list[torch.Tensor] = []
    classifier.network.conv1.register_forward_hook(lambda _, __, made: inputs.append(made))
    again = copy.deepcopy(classifier)
    refresh_statistics(again, recipe, SHORT, Run(3, CPU, torch.float32, tmp_path))
    assert_same(statistics, {name: value for name, value in again.named_buffers() if "running" in name})
    means = torch.stack([made.mean((0, 2, 3)) for made in inputs])
    assert torch.allclose(statistics["network.bn1.running_mean"], means.mean(0), atol=1e-5)


def test_frozen_batch_norms_keep_their_statistics(sets: Path, tmp_path: Path) -> None:
    recipe = opened(sets, tmp_path / "pixels", averaging=SWA)
    classifier = classifier_of()
    before = {name: value.clone() for name, value in classifier.named_buffers()}
    prepare_classifier(classifier, RecipeSettings(start="init", data="original", tuned="head"), seed=2)
    fit_classifier(classifier, recipe, tmp_path / "run", SHORT)
    assert_same(dict(classifier.named_buffers()), before)


def test_an_averaged_training_predicts_as_it_is_validated(sets: Path, tmp_path: Path) -> None:
    recipe = opened(sets, tmp_path / "pixels", averaging=SWA)
    classifier = classifier_of()
    history = fit_classifier(classifier, recipe, tmp_path / "run", SHORT)
    predicted = loop.predict_labels(classifier.eval(), recipe.data.pixels, device=CPU, batch=8)
    assert history[-1]["val_accuracy"] == float(np.mean(predicted == recipe.data.labels))
