"""The probe's command, on drawn sets."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bgdata.compose.variants import VARIANTS
from tests.conftest import ROOT
from tests.releases import draw_release

ENTRY = "import torch\ndef pool(): return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())\n"


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (place / "own.py").write_text(ENTRY)
    return subprocess.run(
        [sys.executable, "-m", "pipeline.probe", "--device", "cpu", *arguments],
        cwd=place,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def variant_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same noise to train and to judge on."""
    root = tmp_path_factory.mktemp("sets") / "in9"
    draw_release(root, names=VARIANTS, side=16)
    for name in VARIANTS:
        shutil.copytree(root / name / "val", root / name / "train")
    return root


def test_a_probe_is_fitted_judged_and_written(variant_sets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, "--entry", "own:pool", "--train-data", str(variant_sets), "--out", "probe.json")
    assert done.returncode == 0, done.stderr
    score = json.loads((tmp_path / "probe.json").read_text())
    assert list(score["variants"]) == list(VARIANTS)
    assert score["model"]["entry"] == "own:pool"
    assert score["probe"]["photos"] == 18
    assert score["probe"]["features"] == 12
    assert score["probe"]["seed"] == 0
    assert "18 photos of original, 12 features, L2 " in done.stdout
    assert f"{score['variants']['mixed_rand']['correct']} / 18" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--train-data", "nowhere"), "nowhere is no folder"),
        (("--train-data", "nowhere", "--entry", "own:pond"), "is no function that can be imported"),
    ],
)
def test_mistakes_end_with_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = run(tmp_path, "--entry", "own:pool", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
