"""One recipe in several processes, on one machine or two; several recipes side by side."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.classifiers.checkpoints import save_classifier
from models.classifiers.classifier import build_classifier
from tests.conftest import ROOT
from tests.models.test_training import SETTINGS

pytestmark = pytest.mark.slow
RECIPES = {
    "dynamic": {"start": "init", "data": "original", "background": {"by": "any_class", "p": 0.5}},
    "further": {"start": "dynamic", "data": "original"},
    "original": {"start": "init", "data": "original"},
}


@pytest.fixture
def project(sets: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Makes a folder with sets, settings of recipes with two seeds, and the weights from which they begin."""

    def make(name: str) -> Path:
        folder = tmp_path / name
        (folder / "build/config").mkdir(parents=True)
        (folder / "data").mkdir()
        (folder / "data/in9").symlink_to(sets)
        for recipe, parts in RECIPES.items():
            job = {"recipe": {"name": recipe} | parts, "train": SETTINGS.model_dump() | {"epochs": 1}, "seeds": [0, 1]}
            (folder / f"build/config/train-{recipe}.json").write_text(json.dumps(job))
        (folder / "build/config/runtime.json").write_text(json.dumps({"device": "cpu", "workers": 1}))
        for run in ("runs/init", "runs/init/seed-1"):
            (folder / run).mkdir(parents=True, exist_ok=True)
            classifier = build_classifier("resnet10", input_size=32, classes=9)
            save_classifier(folder / run / "model.pt", classifier, {"recipe": {"name": "init"}, "seed": 0})
        return folder

    return make


def start(project: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes: Sequence[subprocess.Popen[str]]) -> str:
    for process in processes:
        out, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return out


def agents(machines: int, processes: int) -> list[list[str]]:
    """The command lines of torchrun's agents, one a machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = ["--nnodes", str(machines), "--nproc-per-node", str(processes), "--master-addr", "127.0.0.1"]
    return [
        ["-m", "torch.distributed.run", *shared, "--master-port", str(port), "--node-rank", str(machine)]
        for machine in range(machines)
    ]


def weights(project: Path, recipe: str = "dynamic") -> dict[str, bytes]:
    """The checkpoints and histories of a recipe, without what they say of their start."""
    run = project / "runs" / recipe
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


def test_two_machines_train_as_one_with_as_many_processes(project: Callable[[str], Path]) -> None:
    trained = {}
    for machines, processes in ((0, 1), (1, 2), (2, 1)):
        folder = project(f"machines-{machines}")
        lines = agents(machines, processes) if machines else [[]]
        finish([start(folder, *line, "-m", "pipeline.train", "dynamic") for line in lines])
        trained[machines] = weights(folder)
    assert trained[2].keys() == trained[0].keys() == trained[1].keys()
    assert "seed-1/model.pt" in trained[2]
    # Two processes share a batch in the same way wherever they run; one alone has other batch statistics.
    assert trained[2] == trained[1]
    assert trained[0]["history.csv"].splitlines()[0] == trained[2]["history.csv"].splitlines()[0]


def test_side_by_side_gives_what_each_gives_alone(project: Callable[[str], Path]) -> None:
    alone, together = project("alone"), project("together")
    for recipe in ("dynamic", "further", "original"):
        finish([start(alone, "-m", "pipeline.train", recipe)])
    said = finish([start(together, "-m", "pipeline.side_by_side")])
    assert "dvc commit -f train@dynamic train@further train@original" in said
    for recipe in RECIPES:
        assert weights(together, recipe) == weights(alone, recipe)
    again = start(together, "-m", "pipeline.side_by_side", "dynamic")
    finish([again])


def test_a_recipe_that_is_none_is_one_sentence(project: Callable[[str], Path]) -> None:
    process = start(project("none"), "-m", "pipeline.side_by_side", "dynamik")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert (
        errors.strip().splitlines()[-1].startswith("error: params.yaml has no dynamik for train: give one of dynamic")
    )
