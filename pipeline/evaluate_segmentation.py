"""Judge the segmenters against true masks: a seeded sample of one set, IoU and Dice, and a sheet to look at."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bgdata.ingest.candidates import LISTING
from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.segmentation_sets.voc import VocSet
from bgdata.shards import MANIFEST, ImageSet, write_text_whole
from bgdata.sheets.sheet import SheetRow, draw_sheet
from models.evaluation.segmentation import TrueMasks, evaluate_segmenter
from models.evaluation.segmentation_sheet import COLUMNS, sheet_row
from models.evaluation.segmentation_summary import summarise
from models.segmenters.base import Segmenter
from models.segmenters.factory import NETWORKS, Means, build_segmenter
from models.segmenters.settings import SegmentJob, UNetStudentSettings
from pipeline._stage import (
    RAW,
    RUNS,
    SCORES,
    SETS,
    WEIGHTS,
    read_settings,
    run_stage,
    runtime,
    set_root,
)
from pipeline._workspace import weights_manifests, workspace

_READERS: Mapping[str, Callable[[Path], SegmentationSet]] = {"coco": CocoSet, "voc": VocSet, "davis": DavisSet}


def main(arguments: argparse.Namespace) -> None:
    """Write scores/segmentation/<set>.json and <set>.jpg; a set that is left out has no methods in it."""
    name = arguments.set
    settings = read_settings(f"evaluate_segmentation-{name}")
    outs = {file: SCORES / "segmentation" / file for file in (f"{name}.json", f"{name}.jpg")}
    with workspace(
        f"evaluate_segmentation-{name}", settings=settings, inputs=_inputs(name, settings["methods"]), outs=outs
    ) as work:
        result = {"set": name, "source": settings["source"], "seed": settings["seed"], "methods": {}}
        rows: list[SheetRow] = []
        with _open_set(name, settings["source"]) as data:
            if data is not None and data.samples:
                result |= {"data": data.name, "counts": dict(data.counts)}
                for method in settings["methods"]:
                    result["methods"][method], row = _judge(method, data, settings)
                    rows.append(row)
        sheet = draw_sheet(rows, title=f"{name} ({settings['source']})", columns=COLUMNS)
        (work / f"{name}.jpg").write_bytes(sheet)
        write_text_whole(work / f"{name}.json", json.dumps(result, indent=1) + "\n")
    for method, score in result["methods"].items():
        print(f"evaluate_segmentation: {name}: {method}: mean IoU {score['mean_iou']}, misses {score['misses']}")


def _judge(method: str, data: SegmentationSet, settings: Mapping[str, Any]) -> tuple[dict[str, Any], SheetRow]:
    job = SegmentJob.model_validate({"method": method, **settings["segment"]})
    # The truth is not tidied: it must score 1.
    clean = None if method == "given" else job.clean
    segmenter = _segmenter(job, data, seed=settings["seed"])
    evaluation = evaluate_segmenter(
        segmenter,
        data,
        count=settings["samples"],
        seed=settings["seed"],
        clean=clean,
        workers=1 if method in NETWORKS else runtime()["workers"],
        batch=runtime()["segment_batch"],
    )
    summary = summarise(evaluation, clustered_by=data.clustered_by, seed=settings["seed"])
    return summary, sheet_row(segmenter, data, evaluation, clean=clean)


def _segmenter(job: SegmentJob, data: SegmentationSet, *, seed: int) -> Segmenter:
    if job.method == "given":
        return TrueMasks(data)
    if job.method == "unet":
        job = job.model_copy(update={"unet": UNetStudentSettings(checkpoint=str(RUNS / "unet" / "model.pt"))})
    means = Means(weights=WEIGHTS, device=runtime()["device"], batch=runtime()["segment_batch"])
    return build_segmenter(job, seed=seed, means=means)


def _inputs(name: str, methods: list[str]) -> dict[str, Path]:
    sets = {"photos": SETS / "photos" / MANIFEST, "given_masks": SETS / "given_masks" / MANIFEST}
    listing = {name: RAW / name / LISTING}
    student = {"unet": RUNS / "unet" / "provenance.json"} if "unet" in methods else {}
    return (sets if name == "photos" else listing) | student | weights_manifests()


@contextmanager
def _open_set(name: str, source: str) -> Iterator[SegmentationSet | None]:
    if source == "none":
        yield None
    elif name == "photos":
        with ImageSet(SETS / "photos") as photos, ImageSet(SETS / "given_masks") as given:
            yield PhotoSet(photos, given)
    else:
        yield _READERS[name](set_root(name, source))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate_segmentation", description=__doc__)
    parser.add_argument("set", choices=("photos", *_READERS), help="the set with true masks")
    run_stage(main, parser)
