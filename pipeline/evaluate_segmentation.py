"""Judge the segmenters against true masks: a seeded sample of one set, IoU and Dice, and a sheet to look at."""

import argparse
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bgdata.ingest.candidates import LISTING
from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.segmentation_sets.opening import PUBLIC_SETS, open_photo_set
from bgdata.segmentation_sets.unusable import write_unusable
from bgdata.shards import MANIFEST, write_text_whole
from bgdata.sheets.sheet import draw_sheet
from models.evaluation.segmentation_methods import describe_methods, judge_methods
from models.evaluation.segmentation_sheet import COLUMNS
from models.segmenters.factory import Means
from pipeline._stage import RAW, RUNS, SCORES, SETS, WEIGHTS, read_settings, run_stage, runtime, set_root
from pipeline._workspace import weights_manifests, workspace


def main(arguments: argparse.Namespace) -> None:
    """Write scores/segmentation/<set>.json, .jpg and .csv; a set that is left out has no methods in it."""
    name = arguments.set
    settings = read_settings(f"evaluate_segmentation-{name}")
    outs = {file: SCORES / "segmentation" / file for file in (f"{name}.json", f"{name}.jpg", f"{name}.csv")}
    inputs = _inputs(name, settings["methods"])
    means = Means(weights=WEIGHTS / "segmenters", device=runtime()["device"], batch=runtime()["segment_batch"])
    with workspace(f"evaluate_segmentation-{name}", settings=settings, inputs=inputs, outs=outs) as work:
        with _open_set(name, settings) as data:
            student = RUNS / "unet" / "model.pt"
            judged = judge_methods(data, settings, student=student, means=means, workers=runtime()["workers"])
        sheet = draw_sheet(judged.rows, title=f"{name} ({settings['source']})", columns=COLUMNS)
        (work / f"{name}.jpg").write_bytes(sheet)
        write_unusable(work / f"{name}.csv", judged.unusable)
        result = {"set": name, "source": settings["source"], "seed": settings["seed"], "methods": judged.methods}
        write_text_whole(work / f"{name}.json", json.dumps(result | judged.data, indent=1) + "\n")
    for line in describe_methods(judged.methods):
        print(f"evaluate_segmentation: {name}: {line}")


def _inputs(name: str, methods: list[str]) -> dict[str, Path]:
    sets = {"photos": SETS / "photos" / MANIFEST, "given_masks": SETS / "given_masks" / MANIFEST}
    student = {"unet": RUNS / "unet" / "provenance.json"} if "unet" in methods else {}
    return (sets if name == "photos" else {name: RAW / name / LISTING}) | student | weights_manifests("segmenters")


def _open_set(name: str, settings: Mapping[str, Any]) -> AbstractContextManager[SegmentationSet | None]:
    if settings["source"] == "none":
        return nullcontext()
    if name == "photos":
        return open_photo_set(SETS)
    root = set_root(name, settings["source"])
    return nullcontext(PUBLIC_SETS[name](root, max_unusable=settings["max_unusable"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate_segmentation", description=__doc__)
    parser.add_argument("set", choices=("photos", *PUBLIC_SETS), help="the set with true masks")
    run_stage(main, parser)
