"""The stages of the transfer in their order, on a few drawn scenes and a tiny checkpoint of a recipe."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bgdata.io import decode_image
from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from models.transfer.result_shapes import TransferScores
from models.transfer.settings import TransferSettings
from models.transfer.tasks import draw_counts
from pipeline._transfer_settings import transfer_settings
from tests.pipeline.conftest import Run

pytestmark = pytest.mark.usefixtures("one_thread")

TASK = "segmentation"
KEY = f"{TASK}-original-fixed_feature"
NETWORKS: dict[str, dict[str, Any]] = {
    "detection": {
        "size": 64,
        "max_size": 96,
        "channels": 8,
        "hidden": 8,
        "mask_layers": 1,
        "sampling": 2,
        "proposals": 8,
    }
    | {"samples": 4, "detections": 3, "anchor": 4.0, "score": 0.05, "flip": True, "jitter": 0.0},
    "segmentation": {"head": "fused_fcn", "channels": 8, "size": 64, "crop": 64, "auxiliary": 0.0, "dropout": 0.0}
    | {"flip": True, "min_scale": 0.75, "max_scale": 1.5, "most_of_one": 0.75, "balance": 0.3},
    "classification": {"size": 64, "crop_scale": 0.6, "flip": True},
}


def params(**changed: Any) -> dict[str, Any]:
    train = {"steps": 2, "batch": 2, "lr": 0.001}
    tasks = {name: {"set": "scenes", "train": train, "modes": {}, "network": made} for name, made in NETWORKS.items()}
    drawn = {"train": 10, "val": 10, "size": 64, "difficulty": 0.1}
    return {
        "tasks": [*NETWORKS],
        "backbones": {"original": {"recipe": "original"}},
        "modes": ["fixed_feature"],
        "seeds": [0, 4],
        "background": "tiled",
        "sets": {"scenes": {"layout": "scenes", "source": "synthetic", "scenes": drawn}},
        "corruptions": {"names": ["fog", "pixelate"], "severities": [3]},
    } | (tasks | changed)


def configure(folder: Path, **changed: Any) -> None:
    (folder / "build/config").mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = transfer_settings(TransferSettings.model_validate(params(**changed)), seed=0)
    settings["runtime"] = {"device": "cpu", "workers": 2, "mirror": None, "transfer": {}}
    for name, its in settings.items():
        (folder / f"build/config/{name}.json").write_text(json.dumps(its))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe's checkpoint, in which the stages before training ran."""
    folder = tmp_path_factory.mktemp("transfer")
    configure(folder)
    (folder / "runs/original").mkdir(parents=True)
    classifier = build_classifier("resnet8", input_size=32, classes=9)
    save_classifier(folder / "runs/original/model.pt", classifier, {"recipe": "original", "seed": 0})
    return folder


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw of a detector's scores costs a millisecond, with types checked."""
    monkeypatch.setattr("models.transfer.judge.draw_counts", partial(draw_counts, resamples=20))


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the working directory."""
    configure(trained)
    monkeypatch.chdir(trained)
    monkeypatch.delenv("WORK_DIR", raising=False)
    return trained


def outs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def finished(project: Path, run_command: Run) -> Path:
    """The project with everything of KEY made."""
    if not (project / "scores/transfer" / KEY / "scores.json").is_file():
        for stage in ("fetch_transfer", "transfer_backbones"):
            assert run_command(stage)[0] == 0
        for stage in ("transfer_train", "transfer_evaluate"):
            code, _, said = run_command(stage, KEY)
            assert code == 0, said
    return project


@pytest.mark.parametrize("task", [*NETWORKS])
def test_every_task_goes_from_drawn_scenes_to_a_result(task: str, finished: Path, run_command: Run) -> None:
    key = f"{task}-original-fixed_feature"
    assert run_command("transfer_train", key)[0] == 0
    code, said, _ = run_command("transfer_evaluate", key)
    assert code == 0
    scores = TransferScores.model_validate_json((finished / f"scores/transfer/{key}/scores.json").read_bytes())
    assert scores.key == key
    assert [seed.seed for seed in scores.seeds] == [0, 4]
    assert scores.set.startswith("scenes/") and scores.images == (10 if task != "classification" else scores.images)
    assert scores.swapped is not None and [*scores.corruptions] == ["fog", "pixelate"]
    lines = said.splitlines()
    assert len(lines) == len(scores.metrics)
    clean = scores.clean[scores.metric].value
    assert lines[0].startswith(f"{key}: {scores.metric} clean {clean:.3f}, mPC ")
    assert ", swapped " in lines[0]
    decode_image((finished / f"scores/transfer/{key}/examples.jpg").read_bytes())


def test_settings_of_the_machine_change_no_byte(finished: Path, run_command: Run) -> None:
    before = outs(finished / "scores/transfer" / KEY)
    shutil.rmtree(finished / f".work/transfer_evaluate-{KEY}")
    path = finished / "build/config/runtime.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"workers": 5}))
    assert run_command("transfer_evaluate", KEY)[0] == 0
    assert outs(finished / "scores/transfer" / KEY) == before


def test_a_task_that_is_left_out_has_an_empty_result(project: Path, run_command: Run) -> None:
    configure(project, detection=params()["detection"] | {"set": None})
    key = "detection-original-fixed_feature"
    shutil.rmtree(project / "scores/transfer" / key, ignore_errors=True)
    assert run_command("transfer_evaluate", key) == (0, "", "")
    assert outs(project / "scores/transfer" / key) == {}


def test_without_a_background_none_is_swapped(finished: Path, run_command: Run) -> None:
    configure(finished, background=None)
    code, said, _ = run_command("transfer_evaluate", KEY)
    assert code == 0
    assert "swapped" not in said
    assert json.loads((finished / f"scores/transfer/{KEY}/scores.json").read_text())["swapped"] is None


def test_a_checkpoint_that_is_not_there_is_said(project: Path, run_command: Run) -> None:
    configure(project, modes=["full_network"])
    code, _, said = run_command("transfer_evaluate", f"{TASK}-original-full_network")
    assert code == 2
    assert said == (
        f"error: transfer/{TASK}-original-full_network/model.pt is missing: run the stage that makes it first "
        "(`dvc repro` does)\n"
    )


def test_a_checkpoint_of_another_network_is_said(finished: Path, run_command: Run) -> None:
    configure(finished, modes=["fixed_weights"])
    key = f"{TASK}-original-fixed_weights"
    shutil.copytree(finished / "transfer" / KEY, finished / "transfer" / key)
    code, _, said = run_command("transfer_evaluate", key)
    assert code == 2
    assert said == (f"error: transfer/{key} holds a checkpoint of {KEY}: train {key} (dvc repro transfer_train)\n")


def test_weights_that_are_not_those_dvc_knows_of_are_not_trained_on(finished: Path, run_command: Run) -> None:
    configure(finished, seeds=[8])
    record = finished / "data/backbones/original.json"
    kept = record.read_text()
    record.write_text(json.dumps(json.loads(kept) | {"sha256": "0" * 64}))
    code, _, said = run_command("transfer_train", KEY)
    record.write_text(kept)
    assert code == 2
    assert said == (
        "error: the weights of original are others than data/backbones/original.json says: run "
        "`dvc repro transfer_backbones` first\n"
    )
