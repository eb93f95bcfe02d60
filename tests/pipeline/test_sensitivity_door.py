"""`evaluate` puts noise on the photos where the data have masks, and changes nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bgdata.compose.names import FG_MASK
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from tests.pipeline.conftest import Run
from tests.releases import draw_release

ARCH = "shufflenet_v2_x0_5"
MODEL = ("--checkpoint", "nine.pt", "--arch", ARCH, "--in9", "--device", "cpu")
KEY = "relative_foreground_sensitivity"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with masks, as a folder and packed, one without, one without images in its masks; and a model."""
    folder = tmp_path_factory.mktemp("sensitivity")
    draw_release(folder / "release", names=("original", "only_fg", FG_MASK), side=32)
    shutil.make_archive(str(folder / "packed"), "zip", folder, "release")
    draw_release(folder / "plain", names=("original", "only_fg"), side=32)
    shutil.copytree(folder / "plain", folder / "empty")
    (folder / "empty/fg_mask/val/00_dog").mkdir(parents=True)
    state = build_classifier(ARCH, input_size=32, classes=9, seed=1).network.state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, folder / "nine.pt")
    return folder


@pytest.mark.parametrize("variants", [("original", "only_fg"), ("only_fg",)])
def test_the_number_stands_beside_the_others(
    place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch, variants: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place)

    def evaluate(data: str, *arguments: str) -> tuple[dict[str, Any], str]:
        code, said, errors = run_command(
            "evaluate", "--data", data, *MODEL, "--variants", *variants, *arguments, "--out", "out.json"
        )
        assert code == 0, errors
        score = json.loads(Path("out.json").read_text())
        return {key: value for key, value in score.items() if key not in ("command", "data")}, said

    masked, said = evaluate("release")
    without, quiet = evaluate("release", "--no-sensitivity")
    assert KEY not in without
    assert "sensitivity" not in quiet
    assert {key: value for key, value in masked.items() if key != KEY} == without
    assert (KEY in masked) == ("original" in variants)
    if "original" in variants:
        assert masked[KEY]["count"] == 18
        assert "relative foreground sensitivity: " in said
        assert evaluate("packed.zip")[0] == masked
    for data in ("plain", "empty"):
        assert evaluate(data)[0] == without


def test_sets_that_are_optional_are_there_or_not(place: Path) -> None:
    for data, found in (("release", 2), ("packed.zip", 2), ("plain", 1), ("empty", 1)):
        assert len(open_sources(place / data, ["original"], optional=[FG_MASK])) == found
    assert list(open_sources(place / "release", ["original"], optional=["original"])) == ["original"]
    only_train = place / "release_train"
    shutil.copytree(place / "release", only_train)
    (only_train / "fg_mask/val").rename(only_train / "fg_mask/train")
    assert list(open_sources(only_train, ["original"], split="val", optional=[FG_MASK])) == ["original"]
