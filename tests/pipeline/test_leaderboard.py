"""From a model to a row of the leaderboard and back: judged, submitted, written, checked."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bgdata.compose.names import FG_MASK, VARIANTS
from models.classifiers.classifier import build_classifier
from tests.pipeline.conftest import Run
from tests.releases import draw_release

ARCH = "shufflenet_v2_x0_5"
MODEL = ("--data", "release", "--checkpoint", "nine.pt", "--arch", ARCH, "--in9", "--device", "cpu", "--workers", "1")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release and a nine-class checkpoint, in the working directory."""
    draw_release(tmp_path / "release", names=(*VARIANTS, FG_MASK), side=32)
    torch.save(build_classifier(ARCH, input_size=32, classes=9).network.state_dict(), tmp_path / "nine.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(run_command: Run) -> Callable[..., tuple[int, str]]:
    """Runs a command: its exit code, and all that it said."""

    def run(*command: str) -> tuple[int, str]:
        code, out, err = run_command(*command)
        return code, out + err

    return run


SUBMIT = ("submit", "--name", "My Net", "--link", "https://example.org", "--trained-on", "noise")


def test_from_a_model_to_a_row_and_back(place: Path, run) -> None:
    assert run("evaluate", *MODEL, "--out", "in9.json")[0] == 0
    assert run("challenge", *MODEL, "--out", "challenge.json", "--precision", "float32")[0] == 0
    assert run("leaderboard", *SUBMIT, "--in9", "in9.json", "--challenge", "challenge.json")[0] == 0
    code, said = run("leaderboard")
    assert (code, said) == (0, "leaderboard: LEADERBOARD.md, 1 submitted rows from docs/leaderboard\n")
    page = (place / "LEADERBOARD.md").read_text()
    assert "[submitted](https://example.org); 18 photos |" in page
    assert "python -m pipeline.challenge --data release" in page
    for result in ("docs/leaderboard/my-net.json", "in9.json", "challenge.json"):
        code, said = run("leaderboard", "check", result, *MODEL)
        assert code == 0, said
        assert "all that was computed again is as recorded" in said

    result = json.loads((place / "in9.json").read_text())
    cells = result["predictions"]["no_fg"]
    cells["classes"] = "".join(str((int(digit) + 1) % 9) for digit in cells["classes"])
    (place / "in9.json").write_text(json.dumps(result))
    code, said = run("leaderboard", "check", "in9.json", *MODEL, "--photos", "18")
    assert code == 2
    assert said.count("no_fg n0000000") == 18
    assert "error: in9.json differs from what was computed again" in said

    code, said = run("leaderboard", *SUBMIT, "--in9", "in9.json")
    assert code == 2
    assert "my-net.json is there already" in said


def test_mistakes_end_with_one_sentence(place: Path, run) -> None:
    assert "expected what a judge's --out wrote" in run("leaderboard", *SUBMIT)[1]
    assert not list(place.glob("docs/leaderboard/*"))
    assert "say on which data the result was made" in run("leaderboard", "check", "in9.json")[1]
    assert "in9.json is missing" in run("leaderboard", "check", "in9.json", *MODEL)[1]
