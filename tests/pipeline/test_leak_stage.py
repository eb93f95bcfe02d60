"""The plain door of `leak` on our sets and on the release's layout, and `evaluate --places`."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.compose.names import FG_MASK
from bgdata.compose.render import render_sets
from bgdata.io import encode_jpeg
from bgdata.labels import CLASS_NAMES
from models.classifiers.classifier import build_classifier
from tests.bgdata.conftest import draw_photo, write_sets
from tests.bgdata.test_backgrounds import FILLED, LOOKS
from tests.bgdata.test_render import settings as render_settings
from tests.pipeline.conftest import Run
from tests.releases import draw_release

ARCH = "shufflenet_v2_x0_5"
MODEL = ("--checkpoint", "nine.pt", "--arch", ARCH, "--in9", "--device", "cpu", "--workers", "1")
PLACE = {"kind": "external", "folder": "places", "val_share": 0.5, "splits": ["val"]}
# Sub-folders of the external sources: a class each.
FOLDERS = {name: [f"{number}"] for number, name in enumerate(CLASS_NAMES)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered sets (`in9`) and the settings of three further sources, a release with masks and without; a model."""
    root = tmp_path_factory.mktemp("leak")
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    sets = root / "data/in9"
    render_sets(*write_sets(sets, photos), settings=render_settings(), seed=0, work=sets, workers=1)
    rng = np.random.default_rng(3)
    for number in range(18):
        path = root / f"places/{number % 9}/{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8), 90))
    config, weights = root / "build/config", root / "data/weights/inpainting"
    config.mkdir(parents=True)
    weights.mkdir(parents=True)
    (weights / "manifest.json").write_text("{}")
    (config / "runtime.json").write_text(
        json.dumps({"device": "cpu", "workers": 1, "segment_batch": 4, "eval_batch": 8})
    )
    for name, source in (("f", FILLED), ("p", PLACE | {"classes": FOLDERS}), ("u", PLACE | {"classes": None})):
        settings = {"source": source, "render": LOOKS, "seed": 0}
        (config / f"backgrounds-{name}.json").write_text(json.dumps(settings))
    draw_release(root / "release", names=("original", "only_bg_t", FG_MASK), side=32)
    whole = root / f"release/{FG_MASK}/val/00_dog/n00000000_1.npy"
    np.save(whole, np.ones_like(np.load(whole)))  # as large as its photo: no strip is left beside it
    draw_release(root / "plain", names=("original", "only_bg_t"), side=32)
    state = build_classifier(ARCH, input_size=32, classes=9, seed=1).network.state_dict()
    torch.save({"state_dict": state}, root / "nine.pt")
    return root


@pytest.fixture
def door(place: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in that folder; its result goes to out.json."""
    monkeypatch.chdir(place)
    monkeypatch.delenv("WORK_DIR", raising=False)
    Path("out.json").unlink(missing_ok=True)
    return run_command


def leak(door: Run, data: str, *arguments: str) -> tuple[dict[str, Any], str]:
    code, said, errors = door("leak", "--data", data, *MODEL, "--out", "out.json", *arguments)
    assert code == 0, errors
    return json.loads(Path("out.json").read_text()), said


def test_all_sources_that_lie_in_a_folder_of_our_sets(door: Run) -> None:
    for source in ("f", "p", "u"):
        assert door("backgrounds", source)[0] == 0
    score, said = leak(door, "data/in9")
    assert list(score["model_sources"]) == ["t", "f", "p"]
    assert score["photos"] == 18
    assert (score["seed"], score["segmenter"]) == (0, None)
    reasons = {name: each["why"] for name, each in score["sources"].items()}
    unknown = "photos without objects, of unknown classes: nothing can be right"
    assert reasons == {"t": None, "f": None, "p": None, "u": unknown}
    assert score["model_sources"]["f"]["holes"]["pairs"] == 18
    assert score["model_sources"]["f"]["against"]["source"] == "t"
    assert "of 18 objects" in said
    for name in ("t", "f", "p"):
        accuracy = score["model_sources"][name]["accuracy"]
        row = next(line for line in said.splitlines() if line.startswith(f"only_bg_{name}"))
        assert f"{100 * accuracy['accuracy']:.1f} %" in row
    few, _ = leak(door, "data/in9", "--per-class", "1", "--seed", "7")
    assert (few["photos"], few["seed"]) == (9, 7)
    assert few["model_sources"]["t"]["accuracy"] == score["model_sources"]["t"]["accuracy"]


def test_places_of_known_classes_are_judged_by_them(door: Run, place: Path) -> None:
    """A network that names one class alone is right on the places of that class."""
    assert door("backgrounds", "p")[0] == 0
    network = build_classifier(ARCH, input_size=32, classes=9, seed=1).network
    state = network.state_dict()
    state["fc.weight"].zero_()
    state["fc.bias"].copy_(torch.eye(9)[2])
    torch.save({"state_dict": state}, place / "third.pt")
    found, _ = leak(door, "data/in9", "--checkpoint", "third.pt", "--per-class", "0")
    with (place / "data/in9/only_bg_p/index.csv").open() as file:
        labels = [row["background_label"] for row in csv.DictReader(file) if row["split"] == "val"]
    accuracy = found["model_sources"]["p"]["accuracy"]
    assert (accuracy["correct"], accuracy["count"]) == (labels.count("2"), len(labels))
    assert found["model_sources"]["p"]["holes"] is None


def test_the_release_has_tiles_alone_and_a_mask_over_the_frame_is_no_error(door: Run) -> None:
    score, said = leak(door, "release")
    assert list(score["model_sources"]) == ["t"]
    assert score["model_sources"]["t"]["holes"]["pairs"] == score["photos"] == 18
    assert "only_bg_t" in said
    assert leak(door, "release")[0]["model_sources"] == score["model_sources"]


@pytest.mark.parametrize("arguments", [("plain",), ("release", "--per-class", "0")])
def test_without_masks_or_photos_the_accuracy_remains(door: Run, arguments: tuple[str, ...]) -> None:
    score, said = leak(door, *arguments)
    assert score["photos"] == 0
    assert score["model_sources"]["t"]["holes"] is None
    assert score["model_sources"]["t"]["accuracy"]["count"] == 18
    assert "No holes were made: that needs `original` and `fg_mask`" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seed", "1"), "error: --seed says nothing of recipes: give it with --data, or leave it out\n"),
        (("--per-class", "all"), "error: --per-class says nothing of recipes: give it with --data, or leave it out\n"),
        (("--checkpoint", "nine.pt"), "error: --checkpoint says nothing of recipes: give it with --data"),
        (("--data", "nowhere", *MODEL), "error: nowhere is no folder and no archive: give the official release, or"),
        (("--data", "untiled", *MODEL), "error: untiled is no ImageNet-9 release: expected "),
        (("--data", "release", *MODEL, "--split", "train"), "has no image of the split train (it has val): choose"),
        (("--data", "release", *MODEL, "--per-class", "-1"), "expected a whole number of 0 or more"),
    ],
)
def test_mistakes_are_sentences(door: Run, place: Path, arguments: tuple[str, ...], said: str) -> None:
    shutil.copytree(place / "release/original", place / "untiled/original", dirs_exist_ok=True)
    code, _, errors = door("leak", *arguments)
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors


def test_a_source_whose_manifest_is_broken_is_named(door: Run, place: Path) -> None:
    shutil.copytree(place / "data/in9", place / "broken", dirs_exist_ok=True)
    (place / "broken/only_bg_q").mkdir(exist_ok=True)
    (place / "broken/only_bg_q/manifest.json").write_text("{")
    code, _, errors = door("leak", "--data", "broken", *MODEL)
    assert code == 2
    assert "error: broken/only_bg_q" in errors
    assert errors.count("\n") == 1


def test_evaluate_says_accuracy_by_place_and_size(door: Run) -> None:
    def evaluate(*arguments: str) -> tuple[int, str, str]:
        return door(
            "evaluate", *MODEL, "--variants", "original", "--no-sensitivity", "--out", "out.json", "--data", *arguments
        )

    code, said, errors = evaluate("release", "--places", "1")
    assert code == 0, errors
    places = json.loads(Path("out.json").read_text())["places"]
    assert places["count"] == 9
    assert len(places["cells"]) == 9
    assert all(each["count"] == 9 for each in (*places["cells"].values(), *places["sizes"].values()))
    assert "accuracy by the place of the foreground, a third as large (9 photos)" in said
    assert "centre bias: " in said
    assert evaluate("release")[0] == 0
    assert "places" not in json.loads(Path("out.json").read_text())
    code, _, errors = evaluate("plain", "--places", "all")
    assert code == 2
    assert "plain has no fg_mask" in errors


def test_masks_of_other_photos_are_a_sentence(door: Run, place: Path) -> None:
    shutil.copytree(place / "release", place / "foreign", dirs_exist_ok=True)
    for path in sorted((place / "foreign" / FG_MASK).rglob("n*.npy")):
        path.rename(path.with_stem(f"x{path.stem}"))
    code, _, errors = door("evaluate", "--data", "foreign", *MODEL, "--variants", "original", "--places", "all")
    assert code == 2
    assert "error: no photo of foreign has a mask and a tiled background: leave out --places" in errors
    score, said = leak(door, "foreign")
    assert score["photos"] == 0
    assert "No holes were made" in said
