"""The judges' plain commands: any model on a release, without DVC."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.labels import IN9
from models.classifiers.classifier import build_classifier
from models.weights.readings import ANY, Choice
from pipeline._judging import add_any_model_arguments, model_source
from tests.conftest import ROOT
from tests.pipeline.conftest import Run
from tests.releases import draw_release

ARCH = "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release and a nine-class checkpoint in MadryLab's shape."""
    folder = tmp_path_factory.mktemp("judging")
    draw_release(folder / "release", names=(*VARIANTS, FG_MASK), side=32)
    state = build_classifier(ARCH, input_size=32, classes=9).network.state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, folder / "nine.pt")
    return folder


def run(stage: str, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"pipeline.{stage}", *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


MODEL = ("--data-path", "release", "--checkpoint", "nine.pt", "--arch", ARCH, "--in9")


def test_evaluate_prints_a_table_and_writes_the_result(
    place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    code, said, _ = run_command("evaluate", *MODEL, "--out", "results/in9.json")
    assert code == 0
    score = json.loads((place / "results/in9.json").read_text())
    assert list(score["variants"]) == list(VARIANTS)
    assert score["command"] == " ".join(["python -m pipeline.evaluate", *MODEL, "--out results/in9.json"])
    assert len(score["model"]["checkpoint_sha256"]) == 64
    assert score["class_list"] == IN9.to_record()
    lines = said.splitlines()
    assert [line.split()[0] for line in lines[2:10]] == list(VARIANTS)
    assert f"{score['variants']['original']['correct']} / 18" in said
    assert "BG-gap:" in lines[-1]


def test_challenge_in_processes_is_challenge_in_one(place: Path) -> None:
    done = run("challenge", place, *MODEL, "--out", "one.json", "--precision", "float32")
    assert done.returncode == 0, done.stderr
    one = json.loads((place / "one.json").read_text())
    assert f"{one['vulnerable']} / 18" in done.stdout
    done = run("challenge", place, *MODEL, "--out", "two.json", "--processes", "2", "--work", "work", "--full")
    assert done.returncode == 0, done.stderr
    two = json.loads((place / "two.json").read_text())
    verdicts = [[(row["id"], row["vulnerable"]) for row in score["foregrounds"]] for score in (one, two)]
    assert verdicts[0] == verdicts[1]
    assert two["forward_passes"] == 18 * 18
    rates = [row["fooling_rate"] for row in two["background_rates"]]
    assert np.mean(rates) == pytest.approx(np.mean([row["fooling_rate"] for row in two["foregrounds"]]))
    assert json.loads((place / "work/part-2.json").read_text())["count"] == 9


@pytest.mark.parametrize(
    ("stage", "arguments", "sentence"),
    [
        ("evaluate", ("dynamic", *MODEL), "give either a recipe (none: all), or --data with a model"),
        ("evaluate", ("--in9", "--checkpoint", "nine.pt"), "--checkpoint says nothing of recipes: give it with --data"),
        ("challenge", ("--data", "nowhere", *MODEL[2:]), "nowhere is no folder and no archive"),
        ("challenge", (*MODEL[:-1],), "nine.pt has 9 classes, expected 1000: say --in9"),
        ("evaluate", (*MODEL, "--device", "abacus"), "expected auto, cpu, cuda"),
    ],
)
def test_mistakes_end_with_one_sentence(
    place: Path,
    run_command: Run,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(place)
    code, _, said = run_command(stage, *arguments)
    assert code == 2
    assert sentence in said.splitlines()[-1]


def test_a_list_that_is_not_the_datas_is_a_sentence(
    place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "two.csv").write_text("class,wnid\ncat,n02123045\ndog,n02085620\n")
    code, _, said = run_command("evaluate", *MODEL, "--classes", "two.csv")
    assert code == 2
    assert "--classes two.csv has the classes two (2 classes: cat, dog), but release/" in said.splitlines()[-1]
    assert "has in9 (9 classes: dog, bird, wheeled vehicle ...)" in said.splitlines()[-1]


def test_a_mistake_of_a_process_of_its_own_has_its_exit_code(place: Path) -> None:
    done = run("evaluate", place, *MODEL, "--batch", "0")
    assert done.returncode == 2
    assert "argument --batch: '0': expected a whole number" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_what_was_left_out_is_printed_and_recorded(
    place: Path, tmp_path: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "release"
    shutil.copytree(place / "release", release)
    (release / "only_fg/val/00_dog/list.txt").write_text("")
    (release / "mixed_rand/val/00_dog/.DS_Store").write_text("")
    next((release / "mixed_rand/val/00_dog").glob("*_1_*.JPEG")).unlink()
    monkeypatch.chdir(place)
    out = tmp_path / "in9.json"
    model = [*MODEL[2:], "--data", str(release), "--out", str(out), "--device", "cpu"]
    code, said, _ = run_command("evaluate", *model)
    assert code == 0
    score = json.loads(out.read_text())
    assert score["passed_over"] == {"only_fg": {".txt": 1}}
    assert score["photos_missing"] == {"mixed_rand": 1}
    assert score["bg_gap_paired"]["pairs"] == 17
    assert "only_fg: 1 files are no images in a class's folder, passed over: .txt 1" in said
    assert "the variants hold different photos (mixed_rand lacks 1): gaps are of the photos that both" in said
    code, said, _ = run_command("evaluate", *model, "--data", "release")
    assert not {"passed_over", "photos_missing"} & set(json.loads(out.read_text()))
    assert "passed over" not in said
    (release / "only_bg_t/val/00_dog/list.txt").write_text("")
    code, said, _ = run_command("challenge", *model, "--precision", "float32")
    assert code == 0
    assert json.loads(out.read_text())["passed_over"] == {"only_bg_t": {".txt": 1}}
    assert "only_bg_t: 1 files are no images" in said


def test_key_and_prefix_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    parser = argparse.ArgumentParser()
    add_any_model_arguments(parser)
    source = model_source(parser.parse_args(["--key", "state_dict_ema", "--prefix", ""]), IN9)
    assert source.choice == Choice(key="state_dict_ema", prefix="")
    assert model_source(parser.parse_args([]), IN9).choice == ANY
