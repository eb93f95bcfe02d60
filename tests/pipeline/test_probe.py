"""The probe's command, on drawn sets."""

import json
import shutil
from pathlib import Path

import pytest

from bgdata.compose.names import VARIANTS
from tests.pipeline.conftest import Run
from tests.releases import draw_release

ENTRY = "import torch\ndef pool(): return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())\n"


@pytest.fixture(scope="module")
def variant_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same noise to train and to judge on."""
    root = tmp_path_factory.mktemp("sets") / "in9"
    draw_release(root, names=VARIANTS, side=16)
    for name in VARIANTS:
        shutil.copytree(root / name / "val", root / name / "train")
    return root


@pytest.fixture
def run(tmp_path: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command where its model lies."""
    (tmp_path / "own.py").write_text(ENTRY)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_command("probe", "--device", "cpu", "--entry", "own:pool", *arguments)


def test_a_probe_is_fitted_judged_and_written(variant_sets: Path, tmp_path: Path, run: Run) -> None:
    code, said, _ = run("--train-data", str(variant_sets), "--out", "probe.json")
    assert code == 0
    score = json.loads((tmp_path / "probe.json").read_text())
    assert list(score["variants"]) == list(VARIANTS)
    assert score["model"]["entry"] == "own:pool"
    assert score["probe"]["photos"] == 18
    assert score["probe"]["features"] == 12
    assert score["probe"]["seed"] == 0
    assert "18 photos of original, 12 features, L2 " in said
    assert f"{score['variants']['mixed_rand']['correct']} / 18" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--train-data", "nowhere"), "nowhere is no folder"),
        (("--train-data", "sets", "--entry", "own:pond"), "is no function that can be imported"),
    ],
)
def test_mistakes_end_with_one_sentence(
    variant_sets: Path, tmp_path: Path, run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "sets").symlink_to(variant_sets)
    code, _, said = run(*arguments)
    assert code == 2
    assert sentence in said.splitlines()[-1]
