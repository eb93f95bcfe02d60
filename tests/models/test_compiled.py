"""torch.compile in training: the same results to rounding, called once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

from models.classifiers.classifier import build_classifier
from models.training import loop
from models.training.settings import AdapterSettings, RecipeSettings
from models.training.tuning import merge_adapters, prepare_classifier
from tests.models.test_training import SETTINGS, Killed, fit_classifier, opened, trained

COMPILED = SETTINGS.model_copy(update={"compile": True, "epochs": 2})


@pytest.fixture(autouse=True)
def unchecked() -> Iterator[None]:
    """Without the checks of shapes that the tests add: they cannot be traced."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What torch.compile is called with; the graphs run as they are traced, since C++ takes a minute to compile."""
    compiled: list[Any] = []
    compile_network: Callable[..., Any] = torch.compile

    def compile_traced(network: Any) -> Any:
        compiled.append(network)
        return compile_network(network, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", compile_traced)
    return compiled


@pytest.mark.parametrize(
    "adapter",
    [
        AdapterSettings(kind="lora", layers=[r"layer4\.\d\.conv2"], rank=4, alpha=1),
        AdapterSettings(kind="oft", layers=[r"layer2\.\d\.conv2"], block=8),
    ],
    ids=["lora", "oft"],
)
def test_adapters_are_trained_compiled_as_they_are_plain(
    sets: Path, tmp_path: Path, calls: list[Any], adapter: AdapterSettings
) -> None:
    data, weights = opened(sets, tmp_path / "pixels"), {}
    for compiled in (False, True):
        classifier = build_classifier("resnet10", input_size=32, classes=9)
        prepare_classifier(classifier, RecipeSettings(start="init", data="original", adapter=adapter), seed=2)
        settings = COMPILED.model_copy(update={"compile": compiled})
        fit_classifier(classifier, data, tmp_path / str(compiled), settings)
        merge_adapters(classifier)
        weights[compiled] = classifier.state_dict()
    assert len(calls) == 1
    for name, value in weights[False].items():
        assert torch.allclose(value.float(), weights[True][name].float(), rtol=1e-3, atol=1e-4), name


def test_a_compiled_training_is_the_plain_one_to_rounding_and_resumes(
    sets: Path, tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = opened(sets, tmp_path / "pixels", p=0.5)
    plain, _ = trained(data, tmp_path / "plain", COMPILED.model_copy(update={"compile": False}))
    assert not calls
    compiled, _ = trained(data, tmp_path / "compiled", COMPILED)
    assert len(calls) == 1
    assert plain.keys() == compiled.keys()
    for name, weights in plain.items():
        assert torch.allclose(weights.float(), compiled[name].float(), rtol=1e-3, atol=1e-4), name
    save = loop.save_whole

    def save_then_die(content: Any, path: Path) -> None:
        save(content, path)
        raise Killed

    monkeypatch.setattr(loop, "save_whole", save_then_die)
    with pytest.raises(Killed):
        trained(data, tmp_path / "killed", COMPILED)
    monkeypatch.setattr(loop, "save_whole", save)
    resumed, _ = trained(data, tmp_path / "killed", COMPILED)
    for name, weights in compiled.items():
        assert torch.equal(weights, resumed[name]), name
