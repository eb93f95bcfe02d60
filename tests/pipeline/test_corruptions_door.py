"""The plain command of corruptions: any model, on photos that are corrupted now, were corrupted, or were published."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bgdata.corrupt.sets import CorruptedSets
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.labels import IN9
from bgdata.shards import ImageSet
from models.classifiers.classifier import build_classifier
from models.evaluation import corruptions
from tests.models.conftest import write_sets
from tests.pipeline.conftest import Run

ARCH = "shufflenet_v2_x0_5"
MODEL = ("--checkpoint", "nine.pt", "--arch", ARCH, "--in9", "--device", "cpu", "--workers", "1")
CELLS = ("--names", "pixelate", "contrast", "saturate", "--severities", "1", "4")
Judge = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets, a nine-class checkpoint, corrupted sets of ours, and a folder as others publish them."""
    folder = tmp_path_factory.mktemp("corruptions")
    write_sets(folder / "sets", IN9)
    state = build_classifier(ARCH, input_size=48, classes=9, seed=1).network.state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, folder / "nine.pt")
    CorruptedSets(
        originals=folder / "sets/original",
        masks=folder / "sets/fg_mask",
        settings=CorruptionSettings(
            names=["pixelate", "contrast", "saturate"],
            severities=[1, 4],
            regions=["whole", "background"],
            store=True,
            jpeg_quality=85,
        ),
        seed=3,
        images_per_shard=10,
    ).write(folder / "corrupted", workers=1)
    with ImageSet(folder / "sets/original") as images:
        for row in images.split("val"):
            for place in ("photos", "published/pixelate/2", "published/weather/fog/2"):
                path = folder / place / row.name.replace("val", "")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(images.read(row))
    return folder


@pytest.fixture
def judge(place: Path, tmp_path: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs the command: the result that it wrote, with what it printed under `said`."""
    monkeypatch.chdir(place)

    def run(*arguments: str) -> dict[str, Any]:
        out = tmp_path / "out.json"
        code, said, errors = run_command("corruptions", *MODEL, *arguments, "--out", str(out))
        assert code == 0, errors
        return json.loads(out.read_text()) | {"said": said}

    return run


def test_photos_are_corrupted_judged_and_printed(judge: Judge) -> None:
    score = judge("--data", "sets", *CELLS, "--regions", "whole", "foreground", "--seed", "3")
    assert (score["source"], score["split"], score["images"], score["seed"]) == ("ours", "val", 18, 3)
    assert (score["data"], score["class_list"], score["chance"]) == ("sets", IN9.to_record(), 1 / 9)
    assert score["data_record"]["encoding"] == "JPEG, quality 85"
    assert len(score["model"]["checkpoint_sha256"]) == 64
    assert score["command"].startswith("python -m pipeline.corruptions --checkpoint nine.pt")
    assert list(score["regions"]) == ["whole", "foreground"]
    whole = score["regions"]["whole"]
    assert {name: list(row) for name, row in whole["corruptions"].items()} == {
        name: ["1", "4"] for name in ("contrast", "pixelate", "saturate")
    }
    assert whole["summary"]["corruptions"] == 2
    assert whole["summary"]["extra"]["corruptions"] == 1
    said = score["said"]
    lines = said.splitlines()
    assert lines[0] == "accuracy in % on corrupted photos (whole), by severity"
    assert lines[2].split() == ["corruption", "1", "4", "mean"]
    row = whole["corruptions"]["contrast"]
    assert lines[4].split()[:3] == ["contrast", *(f"{100 * row[severity]['accuracy']:.1f}" for severity in ("1", "4"))]
    assert f"clean: {100 * score['clean']['accuracy']:.1f} %" in said
    assert f"mPC {100 * whole['summary']['mpc']:.1f} %, rPC" in said
    assert "normaliser: AlexNet (ImageNet, 1,000 classes), published errors at the severities that were run" in said
    assert "no mCE; normaliser: none: AlexNet's published errors are of corruptions on whole photos" in said
    assert "of a part: 4 of the fifteen's 75 cells; missing: gaussian_noise, " in said
    assert lines[-1] == "18 photos, split val, source ours, seed 3, JPEG, quality 85"


def test_a_result_can_be_the_normaliser(judge: Judge, tmp_path: Path) -> None:
    base = judge("--data", "sets", *CELLS)
    (tmp_path / "base.json").write_text(json.dumps(base))
    score = judge("--data", "sets", *CELLS, "--normaliser", str(tmp_path / "base.json"))
    summary = score["regions"]["whole"]["summary"]
    assert summary["mce"] == pytest.approx(1)
    assert summary["normaliser"] == f"{tmp_path / 'base.json'}, at the severities that were run"
    assert score["regions"]["whole"]["corruptions"] == base["regions"]["whole"]["corruptions"]


def test_what_is_kept_is_not_judged_again(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = ("--keep", str(tmp_path / "keep"))
    first = judge("--data", "sets", *CELLS, *keep)
    seen: list[int] = []
    predict = corruptions.predict

    def counting(model: Any, pixels: Any, **options: Any) -> Any:
        seen.append(len(pixels))
        return predict(model, pixels, **options)

    monkeypatch.setattr(corruptions, "predict", counting)
    again = judge("--data", "sets", *CELLS, *keep)
    assert seen == []
    assert again["regions"] == first["regions"]
    wider = judge("--data", "sets", *CELLS, "5", *keep)
    assert sum(seen) == 3 * 18
    assert wider["clean"] == first["clean"]
    judge("--data", "sets", *CELLS, *keep, "--seed", "1")
    assert sum(seen) == 10 * 18  # other photos: the clean ones and all six cells


def test_stored_sets_give_what_photos_corrupted_now_give(judge: Judge) -> None:
    now = judge("--data", "sets", *CELLS, "--regions", "whole", "background", "--seed", "3")
    stored = judge("--corrupted", "corrupted", "--data", "sets")
    for key in ("clean", "regions", "data_record", "images", "seed", "source"):
        assert stored[key] == now[key], key
    assert (stored["corrupted"], stored["data"]) == ("corrupted", "sets")
    part = judge("--corrupted", "corrupted", "--names", "pixelate", "--severities", "4", "--regions", "background")
    assert part["clean"] is None
    assert part["regions"]["background"]["summary"]["rpc"] is None
    assert list(part["regions"]) == ["background"]


def test_published_photos_are_judged_with_and_without_clean_ones(judge: Judge) -> None:
    """The published photos of this test are the clean ones: nothing is lost."""
    score = judge("--corrupted", "published", "--data", "photos")
    assert (score["source"], score["seed"], score["images"]) == ("published", None, 18)
    corrupted = score["regions"]["whole"]["corruptions"]
    assert corrupted == {"fog": {"2": score["clean"]}, "pixelate": {"2": score["clean"]}}
    assert score["said"].splitlines()[-1] == "18 photos, split val, source published, seed none, as published"
    alone = judge("--corrupted", "published", "--names", "fog")
    assert (alone["clean"], alone["data"]) == (None, "published")
    assert alone["regions"]["whole"]["corruptions"] == {"fog": corrupted["fog"]}
    assert "no rPC (clean accuracy is 0 or unknown)" in alone["said"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "sets", "dynamic"), "give either a recipe (the DVC stage) or --data or --corrupted with a model"),
        ((), "--checkpoint says nothing of recipes: give it with --data or --corrupted, or leave it out"),
        (("--data", "sets", "--names", "smog"), "argument --names: invalid choice: 'smog'"),
        (("--data", "sets", "--severities", "0"), "argument --severities: invalid choice: 0"),
        (("--data", "sets", "--severities", "6"), "argument --severities: invalid choice: 6"),
        (("--data", "nowhere"), "nowhere is no folder and no archive"),
        (("--corrupted", "nowhere"), "nowhere is no folder: give corrupted sets of ours"),
        (("--corrupted", "corrupted", "--seed", "1"), "--seed says nothing of --corrupted, whose photos are made"),
        (("--corrupted", "corrupted", "--split", "train"), "--corrupted holds photos of the split val, not train"),
        (("--corrupted", "corrupted", "--names", "fog"), "corrupted has no whole/fog/1, whole/fog/4"),
        (("--corrupted", "published", "--severities", "2", "3"), "published has no whole/fog/3, whole/pixelate/3 ("),
        (("--data", "sets", "--normaliser", "nine.pt"), "nine.pt"),
        (
            ("--data", "sets", "--normaliser", "two.csv"),
            "--normaliser two.csv is no JSON: give a result of this command",
        ),
        (("--data", "sets", "--normaliser", "empty.json"), "empty.json is no result of pipeline.corruptions"),
        (("--data", "sets", "--normaliser", "few.json"), "few.json has no result of gaussian_noise 1 and 74 more"),
    ],
)
def test_mistakes_end_with_one_sentence(
    place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(place)
    (place / "two.csv").write_text("class,wnid\n")
    (place / "empty.json").write_text("{}")
    (place / "few.json").write_text('{"regions": {}}')
    code, _, said = run_command("corruptions", *MODEL, *arguments)
    assert code == 2
    assert sentence in said.splitlines()[-1]


def test_regions_without_masks_are_a_sentence(
    place: Path, tmp_path: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    shutil.copytree(place / "sets/original", tmp_path / "sets/original")
    cells = ("--data", str(tmp_path / "sets"), *CELLS)
    code, _, said = run_command("corruptions", *MODEL, *cells, "--regions", "foreground")
    assert code == 2
    assert f"{tmp_path / 'sets'} has no fg_mask (it has original)" in said.splitlines()[-1]
