"""Judge a classifier on the variants of ImageNet-9: accuracy by class, and the BG-gap.

Of all recipes of this pipeline (`python -m pipeline.evaluate`, as the DVC stage does), of one of them
(`python -m pipeline.evaluate RECIPE`), or of any model
(`python -m pipeline.evaluate --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
from pathlib import Path
from typing import Any

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.sources import open_sources
from models.classifiers.judged import Judged
from models.evaluation.in9 import brief_score, in9_score, judge_variants, recorded_predictions
from models.evaluation.sensitivity import open_masked_photos, sensitivity_score
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
from pipeline._recipes import SPLIT, judge_recipes, judge_seeds, running_stage
from pipeline._stage import SCORES, SETS, pixel_cache, read_settings, run_stage, runtime


def main(arguments: argparse.Namespace) -> None:
    """Judge a recipe's classifier or any model."""
    check_door(arguments)
    if arguments.data is None:
        judge_all(arguments.recipe)
    else:
        judge_any(arguments)


def judge_all(only: str | None) -> None:
    """Judge the checkpoint of each seed, then write `scores/in9/<recipe>.json`: the first's score, and all in brief."""
    sources, settings = open_sources(SETS, (*VARIANTS, FG_MASK)), read_settings("evaluate")
    run, reading = running_stage(), {"workers": runtime()["workers"], "cache": pixel_cache(), "split": SPLIT}
    variants = {variant: sources[variant] for variant in VARIANTS}
    per_class, seed = settings["sensitivity_per_class"], settings["seed"]
    photos = open_masked_photos(sources, per_class=per_class, seed=seed, **reading)

    def judge(model: Judged, _: int) -> dict[str, Any]:
        score = in9_score(judge_variants(model, variants, **run, **reading), among_nine=False)
        return score | sensitivity_score(model, photos, seed=seed, workers=reading["workers"], **run)

    def judge_recipe(recipe: str, _: Path, __: Path) -> dict[str, Any]:
        return judge_seeds(recipe, sources, judge, brief_score)

    judge_recipes("evaluate", judge_recipe, only=only, out=SCORES / "in9", sets=(*VARIANTS, FG_MASK))


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`."""
    run, reading = running(arguments), {"split": arguments.split, "workers": arguments.workers}
    with_noise = "original" in arguments.variants and not arguments.no_sensitivity
    sources = open_data(arguments, arguments.variants, optional=(FG_MASK,) if with_noise else ())
    model, record = read_model(arguments, data_classes(arguments, sources))
    variants = {variant: sources[variant] for variant in arguments.variants}
    judgements = judge_variants(model, variants, **run, **reading)
    score = birth(arguments, record, variants) | in9_score(judgements, among_nine=model.has_outside)
    if FG_MASK in sources:
        photos = open_masked_photos(sources, per_class=None, seed=0, **reading)
        score |= sensitivity_score(model, photos, seed=0, workers=arguments.workers, **run)
    write_result(arguments.out, score | {"predictions": recorded_predictions(judgements)})
    print_in9(score)


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
    run_stage(main, parser)
