"""Transferred networks at rest: what comes back says what was saved, and a file of something else is a sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bgdata.errors import InputError
from bgdata.synthetic.layouts import write_scenes
from bgdata.transfer_sets.base import LabelledImage
from bgdata.transfer_sets.opening import open_task_set
from bgdata.transfer_sets.settings import DrawnSettings, TransferSetSettings
from models.classifiers.backbones import take_off_head
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from models.transfer.checkpoints import load_for, load_transfer, open_task, save_transfer
from models.transfer.modes import MODES, Mode, trained_parameters
from models.transfer.settings import BackboneSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
SCENES = DrawnSettings(train=10, val=10, size=64, difficulty=0.1)
NETWORKS: dict[str, dict[str, Any]] = {
    "detection": {
        "size": 64,
        "max_size": 64,
        "jitter": 0.0,
        "flip": True,
        "channels": 16,
        "hidden": 32,
        "mask_layers": 1,
        "anchor": 4.0,
        "sampling": 2,
        "proposals": 32,
        "samples": 16,
        "detections": 10,
        "score": 0.0,
    },
    "segmentation": {
        "size": 64,
        "crop": 64,
        "head": "fused_fcn",
        "channels": 16,
        "dropout": 0.1,
        "auxiliary": 0.4,
        "balance": 0.0,
        "min_scale": 0.75,
        "max_scale": 1.5,
        "most_of_one": 1.0,
        "flip": True,
    },
    "classification": {"size": 32, "crop_scale": 0.6, "flip": True},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[LabelledImage]]:
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, **SCENES.model_dump(), seed=0)
    settings = TransferSetSettings(layout="scenes", source="synthetic", scenes=SCENES)
    sets = {task: open_task_set(task, settings, root=root, split="train") for task in NETWORKS}
    return {task: [data.read(image_id) for image_id in data.ids[:3]] for task, data in sets.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "plain").mkdir()
    classifier = build_classifier("resnet8", input_size=48, classes=9, seed=5)
    save_classifier(folder / "plain/model.pt", classifier, {"recipe": "plain", "seed": 5})
    return folder


def saved(
    path: Path,
    task: str,
    backbone: BackboneSettings,
    mode: Mode,
    runs: Path,
    *,
    belied: Mapping[str, object] | None = None,
) -> nn.Module:
    """A network of ten categories, drawn, written to a file; `belied`: what its record says that is not so."""
    stands_on, said = load_for(task, backbone, runs=runs, seed=3)
    torch.manual_seed(1)
    network = open_task(task, NETWORKS[task]).build(MODES[mode](stands_on), 10)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
    whole = {"task": task, "mode": mode, "network": NETWORKS[task], "backbone": said, "seed": 3}
    complete = save_transfer(path, network, whole | {"categories": [f"c{n}" for n in range(10)]} | dict(belied or {}))
    assert {"torch", "torchvision"} <= complete["versions"].keys()
    return network.eval()


@pytest.mark.parametrize(
    "backbone", [{"recipe": "plain"}, {"arch": "resnet8", "weights": None}], ids=["recipe", "arch"]
)
@pytest.mark.parametrize("task", NETWORKS)
def test_what_comes_back_says_what_was_saved(
    task: str, backbone: dict[str, Any], images: dict[str, list[LabelledImage]], runs: Path, tmp_path: Path
) -> None:
    mode: Mode = "fixed_feature" if "recipe" in backbone else "full_network"
    network = saved(tmp_path / "model.pt", task, BackboneSettings(**backbone), mode, runs)
    opened, again, record = load_transfer(tmp_path / "model.pt")
    assert (opened.name, record["mode"], record["seed"]) == (task, mode, 3)
    assert not again.training
    assert trained_parameters(again).keys() == trained_parameters(network).keys()
    for (name, one), other in zip(network.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    before, after = (opened.predict(each, images[task], device=CPU) for each in (network, again))
    if task == "segmentation":
        assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
        assert len(np.unique(before[0])) > 1
    else:
        assert before == after and before[0]


def test_a_recipes_checkpoint_may_go_once_a_network_stands_on_it(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    classifier = build_classifier("resnet8", input_size=48, classes=9, seed=5)
    save_classifier(tmp_path / "plain/model.pt", classifier, {"recipe": "plain", "seed": 5})
    saved(tmp_path / "model.pt", "classification", BackboneSettings(recipe="plain"), "fixed_feature", tmp_path)
    (tmp_path / "plain/model.pt").unlink()
    _, network, record = load_transfer(tmp_path / "model.pt")
    assert record["backbone"]["recipe"] == "plain"
    assert network.backbone.size == 48  # as the recipe's images were
    known = take_off_head(classifier.network).state_dict()
    kept = network.backbone.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in known.items() if "running_mean" not in name)


def test_files_of_something_else_are_sentences(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with pytest.raises(InputError, match=r"model\.pt"):
        load_transfer(path)
    with pytest.raises(
        InputError,
        match=r"plain/model\.pt was not written by the transfer_train stage \(it lacks task, mode, network, backbone, "
        r"categories\): train it \(dvc repro transfer_train\)$",
    ):
        load_transfer(runs / "plain/model.pt")
    path.write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"model\.pt") as caught:
        load_transfer(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"task": "tracking"}, r"^'tracking' is no task: give detection, segmentation or classification$"),
        (
            {"mode": "frozen"},
            r"model\.pt was written with settings or a mode that are none \(any more\): train it again",
        ),
        ({"network": {"size": 32}}, r"model\.pt was written with settings or a mode that are none \(any more\): train"),
        ({"categories": ["a", "b"]}, r"model\.pt do not fit the network: wrong shape: head\.bias 10, expected 2, head"),
    ],
)
def test_files_that_belie_their_record(record: dict[str, Any], words: str, runs: Path, tmp_path: Path) -> None:
    settings = BackboneSettings(arch="resnet8", weights=None)
    saved(tmp_path / "model.pt", "classification", settings, "full_network", runs, belied=record)
    with pytest.raises(InputError, match=words):
        load_transfer(tmp_path / "model.pt")
