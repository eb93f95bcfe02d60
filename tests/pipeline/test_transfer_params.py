"""Mistakes about the transfer, in params.yaml and in the sets: one sentence each, at the first stage that can know."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bgdata.errors import InputError
from bgdata.masks.rle import encode_rle
from bgdata.transfer_sets.coco import CocoDetection
from models.transfer.average_precision import measure
from models.transfer.checkpoints import load_transfer
from pipeline._read_params import read_params
from tests.bgdata.transfer_folders import coco_contents, write, write_ade_folder, write_coco_folder
from tests.pipeline.conftest import Run
from tests.pipeline.test_params import Edit, edited, resolved

pytestmark = pytest.mark.usefixtures("one_thread")

KEY = "detection-plain-fixed_feature"
DRAWN = {"arch": "resnet8", "weights": None}


def of_demo(task: str, edit: Edit) -> Edit:
    return lambda params: edit(params["profiles"]["demo"]["transfer"][task])


def of_all(**changed: object) -> Edit:
    return lambda params: params["transfer"].update(changed)


def backbones(**named: object) -> Edit:
    return of_all(backbones=named)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            of_all(tasks=["detecting"]),
            r"^transfer\.tasks\.0: 'detecting' is wrong: it should be 'detection', 'segmentation' or 'classification'$",
        ),
        (of_all(tasks=["detection"] * 2), r"^transfer\.tasks: one stands twice in detection, detection: remove it$"),
        (of_all(tasks=[]), r"^transfer\.tasks: \[\] is wrong: List should have at least 1 item"),
        (
            of_all(modes=["frozen"]),
            r"^transfer\.modes\.0: 'frozen' is wrong: it should be 'fixed_feature', 'fixed_weights' or 'full_network'$",
        ),
        (
            backbones(mine={"recipe": "mixd_rand"}),
            r"^params\.yaml: transfer\.backbones\.mine: no recipe is called 'mixd_rand': try mix",
        ),
        (
            backbones(mine={"recipe": "zzz"}),
            r"no recipe is called 'zzz': try cutmix, dynamic, .*mixup, original",
        ),
        (backbones(mine={"arch": "swin_t"}), r"^transfer\.backbones\.mine: arch goes with weights \(a name, a file"),
        (
            backbones(mine={"recipe": "original", "arch": "swin_t", "weights": None}),
            r"^transfer\.backbones\.mine: a backbone is one of recipe, arch and published, recipe and arch was given$",
        ),
        (
            backbones(mine={"published": "antt", "file": "x.pth"}),
            r"^transfer\.backbones\.mine\.published: 'antt' is wrong: it should be 'ant', 'deepaugment_augmix' or 'adv",
        ),
        (backbones(mine={"recipes": "original"}), r"^transfer.*\.recipes: unknown key \(did you mean recipe\?\)$"),
        (backbones(**{"Swin-T": DRAWN}), r"^transfer\.backbones\.Swin-T: 'Swin-T' is wrong: String should match"),
        (
            of_demo("detection", lambda task: task.update(set="scene")),
            r"detection\.set is 'scene', and transfer\.sets has no such set: give one of ade20k, .*, or null$",
        ),
        (
            of_demo("detection", lambda task: task["train"].update(epochs=3)),
            r"^profiles\.demo\.transfer\.detection\.train: a training is as long as epochs or steps say: give one of",
        ),
        (
            of_demo("segmentation", lambda task: task.update(modes={"full": {"steps": 3}})),
            r"^profiles\.demo\.transfer\.segmentation\.modes\.full: 'full' is wrong: it should be 'fixed_feature'",
        ),
        (
            lambda params: params["transfer"]["sets"]["coco2017"].update(layout="cocoo"),
            r"^transfer\.sets\.coco2017\.layout: 'cocoo' is wrong: it should be 'coco', 'voc', 'ade20k'",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_params_are_one_line_each(tmp_path: Path, edit: Edit, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_params(edited(tmp_path, edit))
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("has 1 mistake:") and len(lines) == 1
    assert re.search(words, lines[0].strip()), lines[0]


# At the stages


Configure = Callable[[Edit], None]


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Makes a folder the working directory, and writes the settings that `config` makes of params.yaml, edited: one
    drawn backbone, a step of training on the CPU, and only detection unless told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORK_DIR", raising=False)

    def write_settings(edit: Edit) -> None:
        def edit_all(params: dict[str, Any]) -> None:
            params["runtime"].update(device="cpu", workers=1)
            params["transfer"].update(tasks=["detection"], backbones={"plain": DRAWN})
            for task in ("detection", "segmentation"):
                params["profiles"]["demo"]["transfer"][task]["train"].update(steps=2)
            edit(params)

        for name, content in resolved(tmp_path, edit_all).items():
            write(tmp_path / f"build/config/{name}.json", json.dumps(content))

    return write_settings


def on_own_set(task: str, layout: str, folder: Path | None) -> Edit:
    """The task on a local set of a user's, `mine`."""

    def edit(params: dict[str, Any]) -> None:
        params["transfer"]["tasks"] = [task]
        params["transfer"]["sets"]["mine"] = {"layout": layout, "source": "local"}
        params["profiles"]["demo"]["transfer"][task]["set"] = "mine"
        if folder is not None:
            params["runtime"]["transfer"] = {"mine": str(folder)}

    return edit


def sentence(said: tuple[int, str, str]) -> str:
    """What a stage that was stopped by a mistake said, after its bars: exit code 2, and no traceback."""
    code, _, errors = said
    assert code == 2, errors
    assert "Traceback" not in errors
    return errors.splitlines()[-1]


def run_until_trained(run_command: Run, key: str) -> tuple[int, str, str]:
    """The three stages, as far as they come."""
    for stage, arguments in (("fetch_transfer", ()), ("transfer_backbones", ()), ("transfer_train", (key,))):
        said = run_command(stage, *arguments)
        if said[0]:
            break
    return said


def test_a_network_that_is_not_there_names_those_that_are(configure: Configure, run_command: Run) -> None:
    configure(of_all(modes=["fixed_feature", "full_network"]))
    said = sentence(run_command("transfer_train", "detection-plain-frozen"))
    assert said == (
        "error: params.yaml has no detection-plain-frozen for transfer_train: give one of "
        "detection-plain-fixed_feature, detection-plain-full_network, or set it there and run `dvc repro config`"
    )


def test_before_config_ran_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: Run) -> None:
    monkeypatch.chdir(tmp_path)
    said = sentence(run_command("transfer_train", KEY))
    assert said == f"error: build/config/transfer_train-{KEY}.json is missing: run `dvc repro config` first"


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        ({"arch": "swin_x", "weights": None}, "error: no classifier is called 'swin_x': try swin_"),
        (
            {"arch": "tim:resnet50", "weights": None},
            "error: 'tim:resnet50' names no library: expected torchvision:NAME",
        ),
        (
            {"published": "ant", "file": "gone.pth"},
            "error: transfer.backbones.mine: gone.pth is no file: name its checkpoint, or train the recipe first",
        ),
        (
            {"recipe": "original"},
            "error: transfer.backbones.mine: runs/original/model.pt is no file: name its checkpoint, or train",
        ),
    ],
)
def test_backbones_that_are_not_there(
    configure: Configure, run_command: Run, backbone: dict[str, Any], words: str
) -> None:
    configure(backbones(mine=backbone))
    assert sentence(run_command("transfer_backbones")).startswith(words)


def test_a_backbones_record_is_its_settings_and_the_hash_of_its_weights(
    configure: Configure, run_command: Run, tmp_path: Path
) -> None:
    configure(
        backbones(
            ours={"recipe": "original"}, own={"arch": "resnet50", "weights": "w.pt"}, plain=DRAWN | {"recipe": None}
        )
    )
    write(tmp_path / "w.pt", b"weights")
    records = {}
    for content in (b"one", b"one", b"two"):
        write(tmp_path / "runs/original/model.pt", content)
        assert run_command("transfer_backbones")[0] == 0
        found = {path.stem: path.read_text() for path in (tmp_path / "data/backbones").iterdir()}
        records.setdefault(content, []).append(found)
    assert records[b"one"][0] == records[b"one"][1]
    first, last = records[b"one"][0], records[b"two"][0]
    assert {name for name in first if first[name] != last[name]} == {"ours"}
    assert json.loads(last["ours"]) == {"recipe": "original", "sha256": hashlib.sha256(b"two").hexdigest()}
    assert json.loads(last["own"])["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert json.loads(last["plain"]) == DRAWN | {"recipe": None}


def test_a_backbone_that_goes_is_removed(configure: Configure, run_command: Run, tmp_path: Path) -> None:
    for names in (("one", "two"), ("two", "three")):
        configure(backbones(**dict.fromkeys(names, DRAWN)))
        assert run_command("transfer_backbones")[0] == 0
        assert {path.name for path in (tmp_path / "data/backbones").iterdir()} == {f"{name}.json" for name in names}


def test_a_local_set_whose_folder_is_not_named(configure: Configure, run_command: Run) -> None:
    configure(on_own_set("detection", "coco", None))
    said = sentence(run_command("fetch_transfer"))
    assert said == "error: the transfer set mine is local: set runtime.transfer.mine to its folder"


def test_a_local_set_whose_folder_is_not_there(configure: Configure, run_command: Run, tmp_path: Path) -> None:
    configure(on_own_set("detection", "coco", tmp_path / "gone"))
    assert "gone is no folder: name the folder into which the set is unpacked" in sentence(
        run_command("fetch_transfer")
    )


def test_coco_without_masks(configure: Configure, run_command: Run, tmp_path: Path) -> None:
    contents = coco_contents()
    for one in contents["annotations"]:
        del one["segmentation"]
    configure(on_own_set("detection", "coco", write_coco_folder(tmp_path / "mine", contents, "train2017")))
    said = sentence(run_until_trained(run_command, KEY))
    assert "3 of 6 are unusable (no_segmentation 3)" in said
    assert "annotation 0: has no segmentation (a box alone is no mask)" in said


def test_a_mask_label_beyond_the_classes(configure: Configure, run_command: Run, tmp_path: Path) -> None:
    mask = np.tile(np.array([0, 1, 2, 200], np.uint8), (48, 16))
    configure(on_own_set("segmentation", "ade20k", write_ade_folder(tmp_path / "mine", mask)))
    said = sentence(run_until_trained(run_command, "segmentation-plain-fixed_feature"))
    assert said.endswith(
        "ADE_train_00000001.png holds the index 200, which is none of the 3 classes of ade20k/train (1 to 3): mend the "
        "mask, or the list of classes"
    )


def test_ade_of_another_layout(configure: Configure, run_command: Run, tmp_path: Path) -> None:
    write(tmp_path / "full/images/ADE/training/a/ADE_train_1.jpg", b"")
    write(tmp_path / "full/images/ADE/training/a/ADE_train_1_seg.png", b"")
    configure(on_own_set("segmentation", "ade20k", tmp_path / "full"))
    said = sentence(run_until_trained(run_command, "segmentation-plain-fixed_feature"))
    assert "full holds no file of the layout ade20k: name the folder into which the set is unpacked" in said
    # Half of it: the listing finds files, the set says what it lacks.
    write(tmp_path / "full/images/training/ADE_train_1.jpg", b"")
    said = sentence(run_until_trained(run_command, "segmentation-plain-fixed_feature"))
    assert "full is not ADE20K's public release: expected ADEChallengeData2016/ with images/training" in said


def test_augmentations_that_move_objects_are_refused(configure: Configure, run_command: Run) -> None:
    augmix = {"kind": "augmix", "width": 3, "depth": 3, "alpha": 1.0, "severity": 3}
    configure(lambda params: params["profiles"]["demo"]["transfer"]["detection"]["network"].update(augment=augmix))
    Path("data/raw/transfer/scenes").mkdir(parents=True)
    said = sentence(run_until_trained(run_command, KEY))
    assert said == "error: augment augmix moves pixels, whose labels stay where they are: take prime without warp"


def test_images_without_objects_are_trained_on_and_judged(
    configure: Configure, run_command: Run, tmp_path: Path
) -> None:
    root = write_coco_folder(tmp_path / "mine", split="train2017")
    configure(on_own_set("detection", "coco", root))
    code, _, errors = run_until_trained(run_command, KEY)
    assert code == 0, errors
    task, network, record = load_transfer(tmp_path / f"transfer/{KEY}/model.pt")
    data = CocoDetection(root, split="train")
    images = [data.read(image_id) for image_id in data.ids]
    assert record["data"]["images"] == len(images) == 3
    assert [len(one.instances) for one in images] == [2, 1, 0]
    scored = task.score(task.predict(network, images, device=torch.device("cpu")), images, data.categories)
    assert scored.images == 3 and all(0 <= value <= 1 for value in scored.values.values())
    # All found, and one object more where there is none: half of what was found of its category is wrong.
    found = [
        [
            {"category_id": one.label + 1, "bbox": edges(one.box), "score": 0.5, "segmentation": encode_rle(one.mask)}
            for one in image.instances
            if not one.crowd
        ]
        for image in images
    ]
    assert measure(found, images, data.categories).values["box_ap"] == pytest.approx(1)
    found[2] = [found[0][0] | {"score": 0.9}]
    assert measure(found, images, data.categories).values["box_ap"] == pytest.approx(0.75)  # of dogs 0.5, of cats 1


def edges(box: tuple[float, float, float, float]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]
