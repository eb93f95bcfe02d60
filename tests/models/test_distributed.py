"""Several processes that train together against one that trains alone."""

import multiprocessing
import os
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from bgdata.errors import InputError
from models.classifiers.classifier import build_classifier
from models.training.distributed import average, average_buffers, first_ones, is_first, process_count, process_group
from models.training.loop import STATE, fit
from models.training.recipes import open_recipe
from models.training.run import Run, Stored
from models.training.settings import LoopSettings, RecipeSettings
from models.weights.files import read_torch_file
from tests.models.test_training import SETTINGS

# As the second process has: more threads add in another order, which GroupDRO's weights magnify.
pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SHORT = SETTINGS.model_copy(update={"epochs": 2, "momentum": 0.9})
RECIPES = {
    "dynamic": RecipeSettings(start="init", data="original", background={"by": "any_class", "p": 0.5}),
    # A step that makes the groups' weights differ widely within two epochs.
    "group_dro": RecipeSettings(start="init", data="mixed_rand", group_dro={"step": 1.0}),
}


def train(
    sets: Path, pixels: Path, folder: Path, recipe: RecipeSettings, settings: LoopSettings = SHORT
) -> dict[str, torch.Tensor]:
    """The weights after a training with frozen batch norms, which would measure each part alone."""
    opened = open_recipe(recipe, settings, Stored(sets, pixels, 1), seed=3)
    classifier = build_classifier("resnet10", input_size=settings.size, classes=9)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    folder.mkdir(exist_ok=True)
    fit(
        classifier,
        opened,
        settings,
        Run(3, CPU, torch.float32, folder),
        validation=(opened.data.pixels, opened.data.labels),
        label="test",
    )
    return classifier.state_dict()


def agree(own: float) -> None:
    """What parts remember becomes the same in both processes, in the precision it is kept in."""
    part = nn.Module()
    part.register_buffer("sums", torch.tensor([own, 1e9 + 0.25], dtype=torch.float64))
    average_buffers(part)
    assert part.sums.tolist() == [0.5, 1e9 + 0.25]


def train_as_second(
    environment: dict[str, str], sets: Path, pixels: Path, folder: Path, recipe: RecipeSettings
) -> None:
    torch.set_num_threads(1)
    os.environ |= environment | {"RANK": "1"}
    with process_group(CPU, 1):
        assert first_ones("the second's") == "the first's"
        agree(1.0)
        assert not is_first()
        torch.save(train(sets, pixels, folder, recipe), folder / "second.pt")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What torchrun tells the first of two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": "0"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return told


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_train_as_one(sets: Path, tmp_path: Path, environment: dict[str, str], name: str) -> None:
    recipe = RECIPES[name]
    alone = train(sets, tmp_path / "pixels", tmp_path / "alone", recipe)
    (tmp_path / "together").mkdir()
    arguments = (environment, sets, tmp_path / "pixels", tmp_path / "together", recipe)
    second = multiprocessing.get_context("spawn").Process(target=train_as_second, args=arguments)
    second.start()
    with process_group(CPU, 0):
        assert process_count() == 2
        assert first_ones("the first's") == "the first's"
        agree(0.0)
        first = train(sets, tmp_path / "pixels", tmp_path / "together", recipe)
        with pytest.raises(InputError, match=r"train.batch_size is 9, which 2 processes cannot share equally"):
            train(sets, tmp_path / "pixels", tmp_path / "odd", recipe, SHORT.model_copy(update={"batch_size": 9}))
    second.join()
    assert second.exitcode == 0
    copies = read_torch_file(tmp_path / "together/second.pt")
    for key, weights in alone.items():
        assert torch.equal(first[key], copies[key]), key
        assert torch.allclose(first[key], weights, rtol=0, atol=1e-6), key
    histories = [read_torch_file(tmp_path / folder / STATE)["history"] for folder in ("alone", "together")]
    assert [row["train_loss"] for row in histories[1]] == pytest.approx([row["train_loss"] for row in histories[0]])


def test_alone_nothing_is_averaged() -> None:
    with process_group(CPU, None) as device:
        assert device == CPU
        assert is_first()
        assert process_count() == 1
        assert average(torch.tensor(2.0)) == 2
        assert first_ones("value") == "value"
