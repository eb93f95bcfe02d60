"""Say what the backgrounds of each source give away of the objects: to classifiers, by their holes, to a segmenter.

All recipes of this pipeline (`python -m pipeline.leak`, as the DVC stage does), or any model
(`python -m pipeline.leak --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`; without a segmenter).
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bgdata.compose.names import FG_MASK, TILED, background_set
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST
from bgdata.sources import open_sources
from models.evaluation.accuracy import classes_of
from models.evaluation.leak_found import found_share
from models.evaluation.leak_sheet import leak_sheet
from models.evaluation.leak_sources import Found, Leaks, describe_sources, look_for_objects, open_leaks, removers_of
from models.segmenters.factory import Means, build_segmenter
from models.segmenters.settings import SegmentJob
from pipeline._judging import (
    add_any_model_arguments,
    birth,
    check_door,
    data_classes,
    open_data,
    read_model,
    running,
    write_result,
)
from pipeline._printing import print_leak
from pipeline._recipes import SPLIT, judge_seeds, running_stage
from pipeline._stage import RUNS, SCORES, SETS, WEIGHTS, pixel_cache, read_settings, run_checkpoints, run_stage, runtime
from pipeline._workspace import weights_manifests, workspace

_SETS = ("original", FG_MASK)


def main(arguments: argparse.Namespace) -> None:
    """Judge the recipes, or any model."""
    check_door(arguments)
    if arguments.data is None:
        judge_recipes()
    else:
        judge_any(arguments)


def judge_recipes() -> None:
    """Write scores/leak.json and scores/leak.jpg."""
    settings = read_settings("leak")
    sets = (*_SETS, *(background_set(name) for name in (TILED, *settings["sources"])))
    inputs = {name: SETS / name / MANIFEST for name in sets} | weights_manifests("segmenters", "inpainting")
    for recipe in settings["recipes"]:
        inputs |= {f"{recipe} {number}": path for number, path in enumerate(run_checkpoints(RUNS / recipe))}
    outs = {name: SCORES / name for name in ("leak.json", "leak.jpg")}
    with workspace("leak", settings=settings, inputs=inputs, outs=outs) as work:
        sources, device = open_sources(SETS, sets), runtime()["device"]
        reading = {"split": SPLIT, "workers": runtime()["workers"], "cache": pixel_cache()}
        leaks = open_leaks(
            sources,
            removers_of(settings["sources"], weights=WEIGHTS / "inpainting", device=device),
            per_class=settings["per_class"],
            seed=settings["seed"],
            reading=reading,
        )
        segmenter, found = _found(settings, leaks)
        run = running_stage()
        judged = {
            recipe: judge_seeds(
                recipe,
                {name: sources[name] for name in _SETS},
                lambda model, _: {"sources": leaks.of_model(model, run=run, reading=reading)},
                _brief,
            )
            for recipe in settings["recipes"]
        }
        score = _common(leaks, found, settings["sources"]) | {"segmenter": segmenter, "seed": settings["seed"]}
        score |= {"recipes": judged}
        write_result(work / "leak.json", score)
        if leaks.looked is None:
            raise InputError(f"no photo of {SPLIT} has a background in every source: see backgrounds in params.yaml")
        masks = {name: of for name, of in found.items() if name != "segmenter"}
        (work / "leak.jpg").write_bytes(leak_sheet(leaks.looked, leaks.holes, masks))


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`: of the tiled source, and of the filled ones that lie in the data."""
    run = running(arguments)
    filled = _filled_sources(arguments.data)
    names = (*_SETS, *(background_set(name) for name in (TILED, *filled)))
    sources: Mapping[str, ImageSource] = open_data(arguments, names)
    model, record = read_model(arguments, data_classes(arguments, sources))
    reading = {"split": arguments.split, "workers": arguments.workers}
    removers = removers_of(filled, weights=WEIGHTS / "inpainting", device=arguments.device)
    leaks = open_leaks(sources, removers, per_class=None, seed=0, reading=reading)
    score = birth(arguments, record, sources) | _common(leaks, {}, filled, split=arguments.split)
    score |= {"model_sources": leaks.of_model(model, run=run, reading=reading)}
    write_result(arguments.out, score)
    print_leak(score)


def _filled_sources(data: Path) -> dict[str, Any]:
    """The filled sources among the sets of a folder, with the settings that their manifests hold."""
    found = {}
    for path in sorted(data.glob(f"{background_set('*')}/{MANIFEST}")) if data.is_dir() else ():
        source = json.loads(path.read_text()).get("settings", {}).get("source", {})
        if isinstance(source, dict) and source.get("kind") == "filled":
            found[path.parent.name.removeprefix(background_set(""))] = source
    return found


def _found(settings: Mapping[str, Any], leaks: Leaks) -> tuple[str | None, dict[str, Found]]:
    """The segmenter in use and what it finds; none where it cannot look (`given`)."""
    if settings["segment"]["method"] == "given":
        return None, {}
    job = SegmentJob.model_validate(settings["segment"])
    if job.unet is not None and job.unet.checkpoint is None:
        job = job.model_copy(update={"unet": job.unet.model_copy(update={"checkpoint": str(RUNS / "unet/model.pt")})})
    means = Means(weights=WEIGHTS / "segmenters", device=runtime()["device"], batch=runtime()["segment_batch"])
    segmenter = build_segmenter(job, seed=settings["seed"], means=means)
    return segmenter.name, look_for_objects(segmenter, leaks, job)


def _common(
    leaks: Leaks, found: Mapping[str, Found], settings: Mapping[str, Any], *, split: str = SPLIT
) -> dict[str, Any]:
    """What a result says of the data and the sources, whoever is judged."""
    classes = classes_of(leaks.sources[name] for name in _SETS)
    originals = None
    if "original" in found and leaks.looked is not None:
        originals = found_share(found["original"], leaks.looked.photos.masks)
    return {
        "split": split,
        "class_list": classes.to_record(),
        "chance": 1 / len(classes),
        "photos": 0 if leaks.looked is None else len(leaks.looked.photos.ids),
        "segmenter": None,
        "originals": originals,
        "sources": describe_sources(settings, leaks, found, split),
    }


def _brief(score: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sources": {
            name: {"accuracy": each["accuracy"]["accuracy"], "hole_leak": each["holes"] and each["holes"]["gap"]}
            for name, each in score["sources"].items()
        }
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.leak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_any_model_arguments(parser)
    run_stage(main, parser)
