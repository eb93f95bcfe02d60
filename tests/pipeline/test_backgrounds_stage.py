"""The stage of further backgrounds, from the settings to sets; what reads them; and its errors as sentences."""

import argparse
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.compose import external
from bgdata.compose.fill import hole_of
from bgdata.compose.names import source_sets as sets_of
from bgdata.compose.render import render_sets
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import ImageSet
from models.classifiers.classifier import build_classifier
from models.inpainting import lama
from models.inpainting.network import Generator
from pipeline import backgrounds
from tests.bgdata.conftest import draw_photo, write_sets
from tests.bgdata.test_backgrounds import FILLED, LOOKS, PLACES, draw_folder
from tests.bgdata.test_render import settings as render_settings
from tests.models.test_lama import random_network
from tests.pipeline.conftest import Run

ARCH = "shufflenet_v2_x0_5"
RUNTIME = {"device": "cpu", "workers": 1, "segment_batch": 4, "eval_batch": 8}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rendered sets and the settings of a filled and an external source, the working directory."""
    photos = [draw_photo(label, split, n) for split in ("train", "val") for label in range(9) for n in range(2)]
    sets = tmp_path / "data/in9"
    render_sets(*write_sets(sets, photos), settings=render_settings(), seed=0, work=sets, workers=1)
    draw_folder(tmp_path / "places", PLACES)
    weights = tmp_path / "data/weights/inpainting"
    weights.mkdir(parents=True)
    (weights / "manifest.json").write_text("{}")
    place = {"kind": "external", "folder": "places", "classes": None, "val_share": 0.5, "splits": ["train", "val"]}
    (tmp_path / "build/config").mkdir(parents=True)
    for name, source in (("f", FILLED), ("p", place)):
        write_config(tmp_path, f"backgrounds-{name}", {"source": source, "render": LOOKS, "seed": 0})
    write_config(tmp_path, "runtime", RUNTIME)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)
    return tmp_path


def write_config(project: Path, name: str, settings: Any) -> None:
    (project / f"build/config/{name}.json").write_text(json.dumps(settings))


def run(source: str) -> None:
    backgrounds.main(argparse.Namespace(source=source))


def test_both_kinds_become_sets(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("f")
    run("p")
    said = capsys.readouterr().out
    assert "backgrounds f: 36 backgrounds, rejected: none" in said
    assert "backgrounds p: 8 backgrounds, rejected: none" in said
    counts = {name: len(ImageSet(project / "data/in9" / name).rows) for name in (*sets_of("f"), *sets_of("p"))}
    assert list(counts.values()) == [36, 36, 36, 36, 8, 0, 36, 0]
    assert {path.name for path in (project / "data/in9/only_bg_p").iterdir()} == {
        "index.csv",
        "manifest.json",
        "rejected.csv",
        "train-00000.tar",
        "val-00000.tar",
    }


def test_a_killed_stage_goes_on_unless_its_folder_has_changed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of the same photos is not read again; of others, all is."""
    write, decode, read = backgrounds.write_external_sets, external.plain_image, []

    def dies(*arguments: Any, **how: Any) -> Any:
        write(*arguments, **how)
        raise KeyboardInterrupt

    monkeypatch.setattr(external, "plain_image", lambda data: (read.append(data), decode(data))[1])
    monkeypatch.setattr(backgrounds, "write_external_sets", dies)
    with pytest.raises(KeyboardInterrupt):
        run("p")
    monkeypatch.setattr(backgrounds, "write_external_sets", write)
    run("p")
    assert len(read) == 8
    draw_folder(project / "places", ["c/new.jpg"], side=80)
    run("p")
    assert len(read) == 8 + 9
    assert len(ImageSet(project / "data/in9/only_bg_p").rows) == 9


def test_lama_fills_in_one_process_from_a_local_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops, or photos before they are cropped; of crops what is beside the hole is the photo's."""
    monkeypatch.setattr(lama, "Generator", functools.partial(Generator, width=4, blocks=1))
    torch.save(random_network(width=4, blocks=1).state_dict(), project / "lama.pt")
    source = FILLED | {"method": "lama", "weights": "lama.pt", "splits": ["val"]}
    write_config(project, "runtime", RUNTIME | {"workers": 2})
    filled = {}
    for at in ("crop", "photo"):
        write_config(project, "backgrounds-f", {"source": source | {"at": at}, "render": LOOKS, "seed": 0})
        run("f")
        work = next((project / ".work/backgrounds-f").glob("*/filled"))
        filled[at] = np.load(work / "filled.npy")
        pixels, masks = (np.load(work.parent / f"crops/{name}.npy") for name in ("pixels", "masks"))
        shutil.rmtree(work.parent.parent)
    changed = {at: (filled[at] != pixels).any(-1) for at in ("crop", "photo")}
    for image, mask in zip(changed["crop"], masks, strict=True):
        assert not image[~hole_of(mask, FILLED["dilate"])].any()
    assert all(of[masks].mean() > 0.9 for of in changed.values())
    (project / "lama.pt").unlink()
    with pytest.raises(InputError, match=r"the weights lama\.pt are missing"):
        run("f")


def spoil_folder(project: Path) -> None:
    for path in (project / "places").rglob("*.*"):
        path.unlink()


def spoil_class(project: Path) -> None:
    settings = json.loads((project / "build/config/backgrounds-p.json").read_text())
    settings["source"]["classes"] = {"dgo": ["a"]}
    write_config(project, "backgrounds-p", settings)


@pytest.mark.parametrize(
    ("source", "spoil", "words"),
    [
        ("g", lambda _: None, "params.yaml has no g for backgrounds: give one of f, p"),
        ("p", spoil_folder, "backgrounds.p.folder: places holds no photo, expected at least two"),
        ("p", spoil_class, "backgrounds.p.classes names 'dgo', which is none of the classes in9"),
    ],
)
def test_a_mistake_is_one_sentence(
    project: Path, run_command: Run, source: str, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(project)
    code, said, complained = run_command("backgrounds", source)
    assert (code, said) == (2, "")
    assert words in complained
    assert len(complained.strip().splitlines()) == 1


def test_a_stage_before_its_inputs_says_what_to_run(project: Path) -> None:
    (project / "data/in9/original/manifest.json").unlink()
    with pytest.raises(InputError, match=r"data/in9/original/manifest.json is missing: run the stage"):
        run("f")


def test_the_plain_challenge_takes_any_source(project: Path, run_command: Run) -> None:
    run("p")
    state = build_classifier(ARCH, input_size=32, classes=9).network.state_dict()
    torch.save({"state_dict": state}, project / "nine.pt")
    model = ("--data", "data/in9", "--checkpoint", "nine.pt", "--arch", ARCH, "--in9", "--device", "cpu")
    scores = {}
    for source in ("t", "p"):
        out = f"{source}.json"
        code, _, complained = run_command("challenge", *model, "--background-from", source, "--out", out)
        assert code == 0, complained
        scores[source] = json.loads((project / out).read_text())
    assert "background_from" not in scores["t"]
    assert scores["p"]["background_from"] == "p"
    assert (scores["t"]["backgrounds"], scores["p"]["backgrounds"]) == (18, 4)
    assert scores["p"]["class_list"] == IN9.to_record()
    code, _, complained = run_command("challenge", *model, "--background-from", "q")
    assert code == 2
    assert "only_bg_q" in complained
