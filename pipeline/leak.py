"""Say what the backgrounds of each source give away of the objects: to classifiers, by their holes, to a segmenter.

All recipes of this pipeline (`python -m pipeline.leak`, as the DVC stage does), or any model
(`python -m pipeline.leak --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`; without a segmenter, and of data
without masks without holes).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bgdata.compose.names import FG_MASK, TILED, background_set
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST, ImageSet
from bgdata.sources import open_sources
from models.evaluation.accuracy import classes_of
from models.evaluation.leak_found import found_share
from models.evaluation.leak_sheet import leak_sheet
from models.evaluation.leak_sources import Found, Leaks, describe_sources, look_for_objects, open_leaks, removers_of
from models.segmenters.factory import Means, build_segmenter
from models.segmenters.settings import SegmentJob
from pipeline._arguments import per_class, seed
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
# The plain command's: each source holds the crops of so many photos a class, twice over.
_DRAWN = {"per_class": 50, "seed": 0}


def main(arguments: argparse.Namespace) -> None:
    """Judge the recipes, or any model."""
    check_door(arguments)
    if arguments.data is None:
        for name in _DRAWN:
            if name in arguments:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} says nothing of recipes: give it with --data, or leave it out")
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
        removers = removers_of(settings["sources"], weights=WEIGHTS / "inpainting", device=device)
        leaks = open_leaks(
            sources,
            removers,
            further=settings["sources"],
            per_class=settings["per_class"],
            seed=settings["seed"],
            reading=reading,
        )
        if leaks.looked is None:
            raise InputError(f"no photo of {SPLIT} has a background in every source: see backgrounds in params.yaml")
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
        (work / "leak.jpg").write_bytes(leak_sheet(leaks.looked, leaks.holes, found))


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`: of the tiled source, and of the others that lie in the data."""
    run = running(arguments)
    chosen, drawn = (vars(arguments).get(name, default) for name, default in _DRAWN.items())
    settings = _sources_in(arguments.data)
    further = (*_SETS, *map(background_set, settings))
    sources: Mapping[str, ImageSource] = open_data(arguments, [background_set(TILED)], optional=further)
    model, record = read_model(arguments, data_classes(arguments, sources))
    reading = {"split": arguments.split, "workers": arguments.workers}
    there = {name: each for name, each in settings.items() if background_set(name) in sources}
    removers = removers_of(there, weights=WEIGHTS / "inpainting", device=arguments.device)
    leaks = open_leaks(
        sources,
        removers,
        further=there,
        per_class=chosen,
        seed=drawn,
        reading=reading,
    )
    score = birth(arguments, record, sources) | _common(leaks, {}, settings, split=arguments.split) | {"seed": drawn}
    score |= {"model_sources": leaks.of_model(model, run=run, reading=reading)}
    write_result(arguments.out, score)
    print_leak(score)


def _sources_in(data: Path) -> dict[str, Any]:
    """The further sources among the sets of a folder, with the settings that their manifests hold."""
    found = {}
    for path in sorted(data.glob(f"{background_set('*')}/{MANIFEST}")) if data.is_dir() else ():
        with ImageSet(path.parent) as images:
            source = images.manifest.get("settings", {}).get("source", {})
        if isinstance(source, dict) and source.get("kind") in ("filled", "external"):
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
    classes = classes_of([leaks.sources[background_set(TILED)]])
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
    holes = parser.add_argument_group("the holes, with --data")
    holes.add_argument(
        "--per-class",
        type=per_class,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"photos of each class (all: every one; 0: no holes); default {_DRAWN['per_class']}",
    )
    holes.add_argument(
        "--seed", type=seed, default=argparse.SUPPRESS, help="draws them, and whose background each hole is put into"
    )
    run_stage(main, parser)
