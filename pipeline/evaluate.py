"""Judge a classifier on the variants of ImageNet-9: accuracy by class, and the BG-gap.

Of a recipe of this pipeline (`python -m pipeline.evaluate RECIPE`, as the DVC stage does), or of any model
(`python -m pipeline.evaluate --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
from pathlib import Path
from typing import Any

from bgdata.compose.variants import VARIANTS
from bgdata.sources import open_sources
from models.classifiers.checkpoints import load_classifier
from models.classifiers.judged import judged_classifier
from models.devices import resolve_device
from models.evaluation.in9 import brief_score, in9_score, judge_variants, recorded_predictions
from models.weights.files import file_sha256
from pipeline._judging import (
    add_model_arguments,
    birth,
    check_door,
    print_in9,
    read_model,
    running,
    write_result,
)
from pipeline._stage import RUNS, SCORES, SETS, run_checkpoints, run_stage, runtime

SPLIT = "val"


def main(arguments: argparse.Namespace) -> None:
    """Judge a recipe's classifier or any model."""
    check_door(arguments)
    if arguments.recipe is not None:
        judge_recipe(arguments.recipe)
    else:
        judge_any(arguments)


def judge_recipe(recipe: str) -> None:
    """Judge the checkpoint of each seed, then write `scores/in9/<recipe>.json`: the first's score, and all in brief."""
    origins, scores = zip(*(_judge_checkpoint(path) for path in run_checkpoints(RUNS / recipe)), strict=True)
    seeds = [origin | brief_score(score) for origin, score in zip(origins, scores, strict=True)]
    first = {"recipe": recipe} | origins[0] | {"split": SPLIT} | scores[0]
    write_result(SCORES / "in9" / f"{recipe}.json", first | {"seeds": seeds})


def _judge_checkpoint(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Which checkpoint it is, and its score."""
    classifier, record = load_classifier(checkpoint)
    judgements = judge_variants(
        judged_classifier(classifier),
        open_sources(SETS, VARIANTS),
        split=SPLIT,
        device=resolve_device(runtime()["device"]),
        eval_batch=runtime()["eval_batch"],
        workers=runtime()["workers"],
    )
    origin = {"checkpoint_sha256": file_sha256(checkpoint), "seed": record["seed"]}
    return origin, in9_score(judgements, among_nine=False)


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`."""
    model, record = read_model(arguments)
    sources = open_sources(arguments.data, arguments.variants)
    judgements = judge_variants(model, sources, split=arguments.split, workers=arguments.workers, **running(arguments))
    score = birth(arguments, record) | in9_score(judgements, among_nine=model.has_outside)
    write_result(arguments.out, score | {"predictions": recorded_predictions(judgements)})
    print_in9(score)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument(
        "--variants", "--eval-dataset", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="VARIANT"
    )
    run_stage(main, parser)
