"""The stages that make the data, run one after the other as DVC runs them, on the tiny tree."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import ImageSet
from bgdata.synthetic.layouts import write_coco
from pipeline import evaluate_segmentation, fetch, fetch_segmentation, ingest, segment
from tests.conftest import TRAIN, VAL, TinyTree, photo_id

CLEAN = {"min_piece": 0.02, "max_hole": 0.02, "largest_only": False}
CONFIG: dict[str, Any] = {
    "runtime": {
        "device": "cpu",
        "workers": 1,
        "eval_batch": 8,
        "segment_batch": 8,
        "imagenet": None,
        "coco": None,
        "mirror": None,
    },
    "fetch": {"source": "imagenet", "classes": IN9.to_record(), "seed": 0},
    "ingest": {
        "filters": {"require_box": True, "max_box_share": 0.9, "min_box_kept": 0.5},
        "per_class": {"train": None, "val": None},
        "exclude_ids": None,
        "val_share": 0.2,
        "max_unreadable": 0.01,
        "classes": IN9.to_record(),
        "photos_per_shard": 20,
        "source": "imagenet",
        "seed": 0,
    },
    "segment": {
        "method": "given",
        "clean": CLEAN,
        "quality": {"min_box_share": 0.1, "max_photo_share": 0.95},
        "seed": 0,
    },
    "evaluate_segmentation-photos": {
        "source": "ingest",
        "samples": 4,
        "max_unusable": 0.01,
        "methods": ["grabcut"],
        "segment": {
            "grabcut": {"iterations": 1},
            "clean": CLEAN,
            "quality": {"min_box_share": 0.1, "max_photo_share": 0.95},
        },
        "seed": 0,
    },
}


@pytest.fixture
def project(tmp_path: Path, tiny_tree: TinyTree, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stages' settings, which is the working directory."""
    folder = tmp_path / "project"
    (folder / "build/config").mkdir(parents=True)
    for name, settings in CONFIG.items():
        (folder / f"build/config/{name}.json").write_text(json.dumps(settings))
    monkeypatch.chdir(folder)
    monkeypatch.delenv("WORK_DIR", raising=False)
    monkeypatch.setenv("IMAGENET", str(tiny_tree.root))
    return folder


def run(*stages: Any) -> None:
    for stage in stages:
        stage.main(argparse.Namespace())


def test_a_tree_becomes_photos_masks_and_scores(project: Path) -> None:
    run(fetch, ingest, segment)
    evaluate_segmentation.main(argparse.Namespace(set="photos"))
    assert len((project / "data/raw/photos/listing.csv").read_text().splitlines()) == 9 * (TRAIN + VAL) * 3 + 2
    for name in ("photos", "given_masks", "masks"):
        assert len(ImageSet(project / "data/in9" / name).rows) == 9 * (TRAIN + VAL)
    scores = json.loads((project / "scores/segmentation/photos.json").read_text())
    assert (scores["set"], scores["source"], scores["seed"]) == ("photos", "ingest", 0)
    found = scores["methods"]["grabcut"]
    assert (found["count"], found["misses"]) == (4, 0)
    assert 0.5 < found["mean_iou"] < found["mean_dice"] < 1


def test_the_drawn_demo_goes_the_same_way(project: Path) -> None:
    scenes = {"train_per_class": 2, "val_per_class": 2, "size": 256, "bias": 0.8, "difficulty": 0.0}
    for name, settings in (("fetch", {"synthetic": scenes}), ("ingest", {})):
        path = project / f"build/config/{name}.json"
        path.write_text(json.dumps(CONFIG[name] | settings | {"source": "synthetic"}))
    run(fetch, ingest, segment)
    assert len(ImageSet(project / "data/in9/masks").rows) == 9 * 4


def test_files_that_go_between_two_stages_are_counted(project: Path, tiny_tree: TinyTree) -> None:
    tiny_tree.photo(0, 0).unlink()
    tiny_tree.photo(0, 0).symlink_to("/nowhere")
    run(fetch)
    tiny_tree.photo(1, 0).unlink()
    tiny_tree.remove(2, 0)
    tiny_tree.photo(3, 0, "val").unlink()
    tiny_tree.annotation(4, 0).unlink()
    tiny_tree.mask(5, 0).unlink()
    run(ingest, segment)
    lines = (project / "data/in9/photos/rejected.csv").read_text().splitlines()[1:]
    assert {tuple(line.split(",")[::3]) for line in lines} == {
        (photo_id(0, 0), "no_photo"),
        (photo_id(1, 0), "no_photo"),
        (photo_id(2, 0), "no_photo"),
        (photo_id(3, 0, "val"), "no_photo"),
        (photo_id(4, 0), "no_annotation"),
    }
    assert ImageSet(project / "data/in9/photos").manifest["candidates"] == 9 * (TRAIN + VAL)
    assert ImageSet(project / "data/in9/masks").manifest["rejected"] == {"no_given_mask": 1}


def test_a_stage_before_its_inputs_says_what_to_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"data/in9/photos/manifest.json|data/in9/given_masks/manifest.json is missing"
    ):
        run(segment)
    with pytest.raises(InputError, match=r"listing.csv is missing: run the fetch stage first"):
        run(ingest)
    monkeypatch.delenv("IMAGENET")
    with pytest.raises(InputError, match=r"no ImageNet folder is named: set runtime.imagenet"):
        run(fetch)
    assert not (project / "data").exists()


def test_an_exclude_file_is_read_and_its_change_is_a_new_run(project: Path) -> None:
    settings = CONFIG["ingest"] | {"exclude_ids": "exclude.txt"}
    (project / "build/config/ingest.json").write_text(json.dumps(settings))
    run(fetch)
    with pytest.raises(InputError, match=r"exclude.txt is missing"):
        run(ingest)
    (project / "exclude.txt").write_text("n1_1\n")
    with pytest.raises(InputError, match=r"the exclude list exclude.txt \(ingest.exclude_ids\) names no photo of"):
        run(ingest)
    for label in (1, 2):
        (project / "exclude.txt").write_text(photo_id(label, 0) + "\n")
        run(ingest)
        rejected = (project / "data/in9/photos/rejected.csv").read_text().splitlines()
        assert rejected[1:] == [f"{photo_id(label, 0)},train,{label},excluded"]


def configure(project: Path, name: str, settings: dict[str, Any]) -> None:
    (project / f"build/config/{name}.json").write_text(json.dumps(settings))


def test_a_set_that_is_left_out_scores_nothing(project: Path) -> None:
    configure(project, "fetch-coco", {"source": "none", "scenes": {}, "seed": 0})
    configure(project, "evaluate_segmentation-coco", CONFIG["evaluate_segmentation-photos"] | {"source": "none"})
    fetch_segmentation.main(argparse.Namespace(set="coco"))
    assert (project / "data/raw/coco/listing.csv").read_text() == "path,bytes\n"
    evaluate_segmentation.main(argparse.Namespace(set="coco"))
    scores = json.loads((project / "scores/segmentation/coco.json").read_text())
    assert (scores["source"], scores["methods"]) == ("none", {})


def test_a_local_set_is_listed_where_it_lies_and_must_be_named(project: Path, tmp_path: Path) -> None:
    configure(project, "fetch-coco", {"source": "local", "scenes": {}, "seed": 0})
    with pytest.raises(InputError, match=r"sources\.coco is local: set runtime\.coco to its folder"):
        fetch_segmentation.main(argparse.Namespace(set="coco"))
    write_coco(tmp_path / "coco", images=6, size=256, difficulty=0.0, seed=0)
    (tmp_path / "coco/other.txt").touch()
    configure(project, "runtime", CONFIG["runtime"] | {"coco": str(tmp_path / "coco")})
    fetch_segmentation.main(argparse.Namespace(set="coco"))
    assert len((project / "data/raw/coco/listing.csv").read_text().splitlines()) == 1 + 1 + 6
    configure(project, "evaluate_segmentation-coco", CONFIG["evaluate_segmentation-photos"] | {"source": "local"})
    evaluate_segmentation.main(argparse.Namespace(set="coco"))
    scores = json.loads((project / "scores/segmentation/coco.json").read_text())
    assert scores["methods"]["grabcut"]["count"] == 4


def test_what_a_set_holds_of_no_use_is_counted_and_listed(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "coco"
    write_coco(root, images=6, size=256, difficulty=0.0, seed=0)
    path = root / "annotations/instances_val2017.json"
    contents = json.loads(path.read_text())
    contents["annotations"][0]["segmentation"] = [[1, 1, 5, 5]]
    path.write_text(json.dumps(contents))
    broken = contents["images"][1]["file_name"]
    (root / "val2017" / broken).write_bytes(b"no photo")
    configure(project, "runtime", CONFIG["runtime"] | {"coco": str(root)})
    configure(project, "fetch-coco", {"source": "local", "scenes": {}, "seed": 0})
    fetch_segmentation.main(argparse.Namespace(set="coco"))
    judging = CONFIG["evaluate_segmentation-photos"] | {"source": "local", "samples": 99, "max_unusable": 0.5}
    configure(project, "evaluate_segmentation-coco", judging)
    evaluate_segmentation.main(argparse.Namespace(set="coco"))
    scores = json.loads((project / "scores/segmentation/coco.json").read_text())
    assert scores["unusable"] == {"broken_polygon": 1}
    assert scores["methods"]["grabcut"]["unusable"] == {"unreadable_photo": 1}
    assert scores["methods"]["grabcut"]["count"] == scores["counts"]["samples"] - 1
    lines = (project / "scores/segmentation/coco.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines] == ["reason", "broken_polygon", "unreadable_photo"]
    configure(project, "evaluate_segmentation-coco", judging | {"max_unusable": 0.0})
    with pytest.raises(InputError, match=r"1 of \d+ are unusable \(broken_polygon 1\)"):
        evaluate_segmentation.main(argparse.Namespace(set="coco"))
