"""All stages from `config` to `export` on a tiny project, as DVC runs them; their command lines, and their errors."""

import argparse
import ast
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bgdata.compose.render import SETS as RENDERED
from bgdata.errors import InputError
from bgdata.shards import ImageSet
from models.classifiers.checkpoints import load_classifier
from models.evaluation.corruptions import judge_corruptions
from models.weights.files import file_sha256
from pipeline import (
    backgrounds,
    challenge,
    config,
    corrupt,
    corruptions,
    digits,
    evaluate,
    evaluate_segmentation,
    export,
    fetch,
    fetch_segmentation,
    fetch_transfer,
    fetch_weights,
    flow,
    in9l,
    ingest,
    init,
    leak,
    mix,
    recipe_backgrounds,
    render,
    saliency,
    segment,
    train,
    train_unet,
    transfer_backbones,
    transfer_evaluate,
    transfer_train,
)
from pipeline.params import SEGMENTATION_SETS, WEIGHTS
from pipeline.report import __main__ as report
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = ("original", "dynamic")
RECIPES = (*PLAIN, "flow")
TINY_FLOW = {"width": 4, "transforms": 2, "hidden": [8], "embedding_epochs": 2, "flow_epochs": 2, "joint_epochs": 1}
TRANSFERS = tuple(f"{task}-{backbone}-fixed_feature" for task in ("detection", "segmentation") for backbone in PLAIN)
MIXES = ("mixup", "cutmix")
STAGES = sorted(
    path.stem for path in (ROOT / "pipeline").glob("*.py") if not path.stem.startswith("_") and path.stem != "params"
)


def write_params(folder: Path) -> None:
    """The repository's params.yaml, made tiny."""
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load(ROOT / "params.yaml")
    params["runtime"] |= {"device": "cpu", "workers": 1, "eval_batch": 18}
    params["fetch"]["synthetic"] |= {"train_per_class": 4, "val_per_class": 2, "size": 256}
    params["profiles"]["demo"]["train"] |= {"arch": "resnet10", "size": 32, "epochs": 1, "batch_size": 8}
    params["evaluate_segmentation"] |= {"samples": 2, "synthetic_images": 10}
    params["digits"]["epochs"] = 1
    params["profiles"]["demo"]["corruptions"]["regions"] = ["whole", "foreground", "background"]
    params["profiles"]["demo"]["unet"] |= {"epochs": 1, "size": 32, "batch_size": 8}
    for kept in (params["recipes"], *(profile["recipes"] for profile in params["profiles"].values())):
        for name in set(kept) - set(RECIPES):
            del kept[name]
    params["transfer"]["sets"]["scenes"]["scenes"] |= {"train": 10, "val": 10, "size": 64}
    for task in ("detection", "segmentation", "classification"):
        params["profiles"]["demo"]["transfer"][task]["train"] |= {"steps": 2, "batch": 4}
    params["profiles"]["demo"]["recipes"]["flow"]["flow"] |= TINY_FLOW | {"batch_size": 16}
    yaml.dump(params, folder / "params.yaml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage ran once."""
    folder = tmp_path_factory.mktemp("project")
    write_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("WORK_DIR", raising=False)
        patch.delenv("IMAGENET", raising=False)
        config.main(argparse.Namespace(changed=False))
        for group in WEIGHTS:
            fetch_weights.main(argparse.Namespace(group=group))
        for name in SEGMENTATION_SETS:
            fetch_segmentation.main(argparse.Namespace(set=name))
        for stage in (fetch, ingest, in9l, segment, train_unet, render, init):
            stage.main(argparse.Namespace())
        for name in ("photos", *SEGMENTATION_SETS):
            evaluate_segmentation.main(argparse.Namespace(set=name))
        backgrounds.main(argparse.Namespace(source="f"))
        for method in MIXES:
            mix.main(argparse.Namespace(method=method))
        recipe_backgrounds.main(argparse.Namespace())
        for recipe in RECIPES:
            train.main(argparse.Namespace(recipe=recipe))
        for stage in (evaluate, challenge, saliency):
            stage.main(argparse.Namespace(recipe=None, data=None))
        for stage in (corrupt, flow, digits):
            stage.main(argparse.Namespace())
        corruptions.main(argparse.Namespace(recipe=None, data=None, corrupted=None))
        leak.main(argparse.Namespace(data=None))
        for stage in (fetch_transfer, transfer_backbones):
            stage.main(argparse.Namespace())
        for stage in (transfer_train, transfer_evaluate):
            for key in TRANSFERS:
                stage.main(argparse.Namespace(key=key))
        report.main(argparse.Namespace())
    return folder


def test_the_report_names_each_recipe(project: Path) -> None:
    page = (project / "report/index.html").read_text()
    numbers = json.loads((project / "report/metrics.json").read_text())
    assert set(numbers["in9"]) == set(RECIPES)
    for recipe in RECIPES:
        assert recipe in page
        assert {"original", "mixed_rand", "bg_gap", "challenge_accuracy"} <= set(numbers["in9"][recipe])
    assert set(numbers["flow"]) == {"flow"}


def test_each_segmenter_is_judged_on_each_set(project: Path) -> None:
    numbers = json.loads((project / "report/metrics.json").read_text())["segmentation"]
    assert set(numbers) == {"photos", *SEGMENTATION_SETS}
    for name, methods in numbers.items():
        assert set(methods) == {"given", "grabcut", "unet"}
        assert methods["given"] == {"mean_iou": 1.0, "mean_dice": 1.0, "misses": 0, "count": 2}, name


def test_no_weights_are_fetched_that_no_method_needs(project: Path) -> None:
    for group in WEIGHTS:
        assert [path.name for path in (project / "data/weights" / group).iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_checkpoint_says_where_it_came_from(project: Path, recipe: str) -> None:
    run = project / "runs" / recipe
    _, record = load_classifier(run / "model.pt")
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance == record | {"checkpoint_sha256": file_sha256(run / "model.pt")}
    assert (record["recipe"]["name"], record["seed"]) == (recipe, 0)
    dynamic = {"by": "any_class", "p": 0.75, "choices": None, "placement": None, "feather": None}
    background = dynamic if recipe == "dynamic" else None
    start = "dynamic" if recipe == "flow" else "init"
    assert (record["params"]["size"], record["recipe"]["background"]) == (32, background)
    assert record["data"]["start"] == file_sha256(project / f"runs/{start}/model.pt")
    assert record["data"]["original"] == file_sha256(project / "data/in9/original/manifest.json")
    assert {"python", "torch", "torchvision", "numpy"} <= set(record["versions"])


def test_scores_name_the_checkpoint_that_they_judge(project: Path) -> None:
    for recipe in RECIPES:
        expected = file_sha256(project / "runs" / recipe / "model.pt")
        for kind in ("in9", "challenge", "saliency", "corruptions"):
            score = json.loads((project / f"scores/{kind}/{recipe}.json").read_text())
            assert score["checkpoint_sha256"] == expected
    score = json.loads((project / "scores/flow/flow.json").read_text())
    assert score["checkpoint_sha256"] == file_sha256(project / "runs/flow/model.pt")


def judged_cells(folder: Path, monkeypatch: pytest.MonkeyPatch, recipe: str | None = None) -> set[str]:
    """Runs the stage again: the networks that it judged, by recipe and seed."""
    found: set[str] = set()

    def listening(models: dict, *arguments: object, **options: object) -> dict:
        found.update(name.rpartition("-")[0] for name in models)
        return judge_corruptions(models, *arguments, **options)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("pipeline._corrupted_recipes.judge_corruptions", listening)
    corruptions.main(argparse.Namespace(recipe=recipe, data=None, corrupted=None))
    return found


def test_a_recipe_whose_checkpoints_are_the_same_is_not_judged_again(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("data", "build"):
        (tmp_path / place).symlink_to(project / place)
    for place in ("runs", "scores"):
        shutil.copytree(project / place, tmp_path / place)
    monkeypatch.delenv("WORK_DIR", raising=False)
    scores = {path.name: path.read_bytes() for path in (project / "scores/corruptions").iterdir()}
    assert set(scores) == {f"{recipe}.json" for recipe in RECIPES}

    def written() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "scores/corruptions").iterdir()}

    assert judged_cells(tmp_path, monkeypatch) == set()
    assert written() == scores
    shutil.copy(project / "runs/original/model.pt", tmp_path / "runs/dynamic/model.pt")
    (tmp_path / "scores/corruptions/flow.json").write_text('{"recipe": "fl')
    assert judged_cells(tmp_path, monkeypatch, "dynamic") == {"dynamic-0"}
    assert set(written()) == {"original.json", "dynamic.json"}
    assert written()["original.json"] == scores["original.json"]
    judged = [json.loads(written()[f"{recipe}.json"]) for recipe in PLAIN]
    assert judged[0]["regions"] == judged[1]["regions"]
    assert judged_cells(tmp_path, monkeypatch) == {"flow-0"}
    assert written()["flow.json"] == scores["flow.json"]
    with pytest.raises(InputError, match=r"^imaginary is none of params.yaml's recipes dynamic, flow, original: name"):
        judged_cells(tmp_path, monkeypatch, "imaginary")


def test_a_score_under_corruptions_has_its_regions_and_its_seeds(project: Path) -> None:
    score = json.loads((project / "scores/corruptions/original.json").read_text())
    assert (score["recipe"], score["split"], score["source"], score["images"]) == ("original", "val", "ours", 18)
    assert list(score["regions"]) == ["whole", "foreground", "background"]
    for found in score["regions"].values():
        assert {name: list(row) for name, row in found["corruptions"].items()} == {
            name: ["2", "4"] for name in ("gaussian_noise", "fog", "pixelate")
        }
        assert (found["summary"]["corruptions"], found["summary"]["cells"]) == (3, 6)
    assert score["regions"]["whole"]["summary"]["mce"] > 0
    (seed,) = score["seeds"]
    assert (seed["seed"], seed["checkpoint_sha256"]) == (score["seed"], score["checkpoint_sha256"])
    assert seed["regions"]["background"]["summary"] == score["regions"]["background"]["summary"]
    assert (project / "data/corrupted/foreground/fog/2/manifest.json").is_file()


def test_noise_on_either_side_is_part_of_evaluate(project: Path) -> None:
    score = json.loads((project / "scores/in9/original.json").read_text())
    found = score["relative_foreground_sensitivity"]
    assert (found["trials"], found["sigma"], found["count"]) == (3, 0.25, 18)
    assert score["seeds"][0]["relative_foreground_sensitivity"] == found


def test_a_further_seed_is_judged_as_it_would_be_alone(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("data", "build"):
        (tmp_path / place).symlink_to(project / place)
    shutil.copytree(project / "runs/original", tmp_path / "runs/original")
    (tmp_path / "runs/original/seed-1").mkdir()
    shutil.copy(project / "runs/dynamic/model.pt", tmp_path / "runs/original/seed-1/model.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)
    for stage, kind in ((evaluate, "in9"), (challenge, "challenge"), (corruptions, "corruptions")):
        stage.main(argparse.Namespace(recipe="original", data=None, corrupted=None))
        both = json.loads((tmp_path / f"scores/{kind}/original.json").read_text())
        first, second = (json.loads((project / f"scores/{kind}/{name}.json").read_text()) for name in PLAIN)
        assert both["seeds"] == first["seeds"] + second["seeds"]
        own = {"seeds": first["seeds"]} | {key: first[key] for key in ("fingerprint",) if key in first}
        assert both | own == first
        assert second["seeds"][0].items() >= {key: second[key] for key in ("seed", "checkpoint_sha256")}.items()


@pytest.mark.parametrize("keeps_its_work", [True, False])
def test_a_second_run_gives_the_same_bytes(
    project: Path, monkeypatch: pytest.MonkeyPatch, *, keeps_its_work: bool
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("WORK_DIR", raising=False)
    made = [project / f"runs/{recipe}/model.pt" for recipe in RECIPES]
    made += [path for name in RENDERED for path in sorted((project / "data/in9" / name).glob("*.tar"))]
    before = {path: file_sha256(path) for path in made}
    assert len(before) == len(RECIPES) + 2 * len(RENDERED)
    if not keeps_its_work:
        shutil.rmtree(project / ".work")
        # The outs are links to what lay there: gone too, so that all is made anew.
        for path in made:
            path.unlink()
    render.main(argparse.Namespace())
    for recipe in RECIPES:
        train.main(argparse.Namespace(recipe=recipe))
    assert {path: file_sha256(path) for path in made} == before


def test_export_writes_every_image(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rendered = project / "data/in9/mixed_rand"
    export.main(argparse.Namespace(paths=[rendered, tmp_path], format="tree", check=False))
    rows = ImageSet(rendered).rows
    assert {path.relative_to(tmp_path / "mixed_rand") for path in tmp_path.rglob("*.JPEG")} == {
        Path(row.split, row.name) for row in rows
    }
    export.main(argparse.Namespace(paths=[rendered], format="tree", check=True))
    assert f"all {len(rows)} images read" in capsys.readouterr().out


@pytest.mark.parametrize("stage", STAGES)
def test_help_describes_the_stage(
    stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"pipeline.{stage}"
    monkeypatch.delitem(sys.modules, module, raising=False)  # else runpy warns that it runs a second time
    monkeypatch.setattr(sys, "argv", ["stage", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0
    description = ast.get_docstring(ast.parse((ROOT / f"pipeline/{stage}.py").read_text()))
    assert description
    assert " ".join(description.split()) in " ".join(capsys.readouterr().out.split())


def test_a_stage_in_an_empty_folder_ends_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.render"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: build/config/render.json is missing")
