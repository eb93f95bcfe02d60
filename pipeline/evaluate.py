"""Judge a classifier on the variants of ImageNet-9: accuracy by class, and the BG-gap.

Of all recipes of this pipeline (`python -m pipeline.evaluate`, as the DVC stage does), of one of them
(`python -m pipeline.evaluate RECIPE`), or of any model
(`python -m pipeline.evaluate --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
from collections.abc import Mapping
from typing import Any

from bgdata.compose.names import FG_MASK, TILED, VARIANTS, background_set
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.sources import open_sources
from models.classifiers.judged import Judged
from models.evaluation.in9 import brief_score, in9_score, judge_variants, recorded_predictions
from models.evaluation.places import brief_places, judge_places
from models.evaluation.sensitivity import open_masked_photos, sensitivity_score
from models.evaluation.stripped_photos import StrippedPhotos, open_stripped_photos
from pipeline._arguments import per_class
from pipeline._judging import (
    add_model_arguments,
    add_variants_argument,
    birth,
    check_door,
    data_classes,
    open_data,
    read_model,
    running,
    write_result,
)
from pipeline._printing import print_in9
from pipeline._recipes import SPLIT, Judge, judge_recipes, judge_seeds, running_stage
from pipeline._stage import SCORES, SETS, pixel_cache, read_settings, run_stage, runtime


def main(arguments: argparse.Namespace) -> None:
    """Judge a recipe's classifier or any model."""
    check_door(arguments)
    if arguments.data is None:
        sets = (*VARIANTS, FG_MASK)
        judge_recipes("evaluate", open_judge, only=arguments.recipe, out=SCORES / "in9", sets=sets)
    else:
        judge_any(arguments)


def open_judge() -> Judge:
    """The judge of a recipe, of each seed's checkpoint: the first's score, and all in brief."""
    sources, settings = open_sources(SETS, (*VARIANTS, FG_MASK)), read_settings("evaluate")
    run, reading = running_stage(), {"workers": runtime()["workers"], "cache": pixel_cache(), "split": SPLIT}
    variants = {variant: sources[variant] for variant in VARIANTS}
    seed = settings["seed"]
    photos = open_masked_photos(sources, per_class=settings["sensitivity_per_class"], seed=seed, **reading)
    stripped = _open_stripped(sources, settings["places_per_class"], seed=seed, **reading)

    def judge(model: Judged, _: int) -> dict[str, Any]:
        score = in9_score(judge_variants(model, variants, **run, **reading), among_nine=False)
        score |= sensitivity_score(model, photos, seed=seed, workers=reading["workers"], **run)
        return score | _places(model, stripped, run)

    return lambda recipe, _, __: judge_seeds(
        recipe, sources, judge, lambda score: brief_score(score) | brief_places(score)
    )


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`."""
    run, reading = running(arguments), {"split": arguments.split, "workers": arguments.workers}
    with_noise = "original" in arguments.variants and not arguments.no_sensitivity
    further = (FG_MASK,) if with_noise or arguments.places != 0 else ()
    needed = () if arguments.places == 0 else ("original", FG_MASK, background_set(TILED))
    sources = open_data(arguments, (*arguments.variants, *needed), optional=further)
    model, record = read_model(arguments, data_classes(arguments, sources))
    stripped = _open_stripped(sources, arguments.places, seed=0, **reading)
    if stripped is None and arguments.places != 0:
        raise InputError(f"no photo of {arguments.data} has a mask and a tiled background: leave out --places")
    variants = {variant: sources[variant] for variant in arguments.variants}
    judgements = judge_variants(model, variants, **run, **reading)
    score = birth(arguments, record, variants) | in9_score(judgements, among_nine=model.has_outside)
    if with_noise and FG_MASK in sources:
        photos = open_masked_photos(sources, per_class=None, seed=0, **reading)
        score |= sensitivity_score(model, photos, seed=0, workers=arguments.workers, **run)
    score |= _places(model, stripped, run)
    write_result(arguments.out, score | {"predictions": recorded_predictions(judgements)})
    print_in9(score)


def _open_stripped(
    sources: Mapping[str, ImageSource], per_class: int | None, *, seed: int, **reading: Any
) -> StrippedPhotos | None:
    """The photos whose foregrounds are moved, with their tiled backgrounds; None where none are asked for."""
    return (
        None if per_class == 0 else open_stripped_photos(sources, (TILED,), per_class=per_class, seed=seed, **reading)
    )


def _places(model: Judged, stripped: StrippedPhotos | None, run: Mapping[str, Any]) -> dict[str, Any]:
    """What a score gains: accuracy by place and size."""
    if stripped is None:
        return {}
    return {"places": judge_places(model, stripped.photos, stripped.backgrounds[TILED], **run)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    add_variants_argument(parser)
    parser.add_argument(
        "--no-sensitivity",
        action="store_true",
        help="leave out the relative foreground sensitivity: six further passes over `original`, where there are masks",
    )
    parser.add_argument(
        "--places",
        type=per_class,
        default=0,
        metavar="N",
        help="photos of each class (all: every one) whose foregrounds are moved over a 3 x 3 grid and scaled, for "
        "centre bias and size bias; needs masks and only_bg_t; default: none",
    )
    run_stage(main, parser)
