"""Put a classifier to the Backgrounds Challenge: each foreground on each background of the test set.

All recipes of this pipeline (`python -m pipeline.challenge`, as the DVC stage does), one of them
(`python -m pipeline.challenge RECIPE`), or any model
(`python -m pipeline.challenge --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
from pathlib import Path
from typing import Any

from bgdata.compose.names import TILED
from bgdata.sources import open_sources
from models.classifiers.judged import Judged
from models.devices import resolve_precision
from models.evaluation.adversarial import choose_rated, gallery_score
from models.evaluation.challenge import (
    ROUND,
    brief_score,
    challenge_score,
    judge_foregrounds,
    open_challenge,
    sets_read,
    table_identity,
)
from pipeline._arguments import positive_number
from pipeline._judging import (
    add_model_arguments,
    birth,
    check_door,
    data_classes,
    open_data,
    read_model,
    running,
    write_result,
)
from pipeline._parts import add_parts_arguments, check_parts, judged_in_parts, part_record
from pipeline._printing import print_challenge
from pipeline._recipes import SPLIT, Judge, judge_recipes, judge_seeds, running_stage
from pipeline._stage import SCORES, SETS, pixel_cache, read_settings, run_stage, runtime


def main(arguments: argparse.Namespace) -> None:
    """Judge a recipe's classifier or any model."""
    check_door(arguments)
    if arguments.data is None:
        sets = sets_read(read_settings("challenge")["background_from"])
        judge_recipes("challenge", open_judge, only=arguments.recipe, out=SCORES / "challenge", sets=sets)
    else:
        check_parts(arguments)
        with judged_in_parts("pipeline.challenge", arguments) as work:
            judge_any(arguments, work)


def open_judge() -> Judge:
    """The judge of a recipe, of each seed's checkpoint: the first's score, and all in brief.

    Fooling rates and the gallery are the first's alone.
    """
    settings = read_settings("challenge")
    source, feather = settings["background_from"], settings["feather"]
    sources = open_sources(SETS, sets_read(source))
    data, _ = open_challenge(
        sources,
        split=SPLIT,
        workers=runtime()["workers"],
        folder=pixel_cache(),
        background_from=source,
        feather=feather,
    )
    rated = choose_rated(data, settings["rated_per_class"], seed=settings["seed"])

    def judge_recipe(recipe: str, _: Path, scratch: Path) -> dict[str, Any]:
        def judge(model: Judged, number: int) -> dict[str, Any]:
            run = running_stage() | {"folder": scratch / f"pairs-{number}"}
            if number == 0:
                return gallery_score(model, data, rated=rated, seed=settings["seed"], **run)
            return challenge_score(judge_foregrounds(model, data, **run), data)

        score = judge_seeds(recipe, sources, judge, brief_score) | _unofficial(source, feather)
        score["gallery"] |= _unofficial(source, None)
        return score

    return judge_recipe


def judge_any(arguments: argparse.Namespace, work: Path | None) -> None:
    """Judge, print, and write `--out`."""
    run = running(arguments)
    source, unofficial = arguments.background_from, _unofficial(arguments.background_from, arguments.feather)
    sources = open_data(arguments, sets_read(source))
    model, record = read_model(arguments, data_classes(arguments, sources), nine_only=arguments.nine_only)
    data, without_mask = open_challenge(
        sources,
        split=arguments.split,
        workers=arguments.workers,
        folder=work and work / "images",
        background_from=source,
        feather=arguments.feather,
    )
    verdicts = judge_foregrounds(
        model,
        data,
        precision=resolve_precision(arguments.precision, run["device"]),
        full=arguments.full,
        part=arguments.part,
        folder=work and work / "pairs",
        identity=table_identity(model, record | unofficial, sources),
        round_pairs=max(ROUND, run["eval_batch"]),
        **run,
    )
    score = birth(arguments, record, sources) | {"nine_only": arguments.nine_only, "photos_without_mask": without_mask}
    score |= part_record(arguments) | unofficial | challenge_score(verdicts, data, full=arguments.full)
    write_result(arguments.out, score)
    print_challenge(score)


def _unofficial(source: str, feather: float | None) -> dict[str, Any]:
    """What a result says of backgrounds and edges that are not the challenge's own."""
    of_source = {} if source == TILED else {"background_from": source}
    return of_source | ({} if feather is None else {"feather": feather})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.challenge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument("--full", action="store_true", help="visit every pair: fooling rates of all images")
    parser.add_argument("--nine-only", action="store_true", help="choose among the outputs of the data's classes only")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "float32", "bfloat16"), help="of the fast passes"
    )
    parser.add_argument(
        "--background-from",
        default=TILED,
        metavar="SOURCE",
        help=f"{TILED}: only_bg_{TILED}, as the official challenge; else a source of our sets (only_bg_<source>)",
    )
    parser.add_argument(
        "--feather",
        type=positive_number,
        metavar="SIGMA",
        help="a soft edge of so many pixels; default: hard",
    )
    add_parts_arguments(parser)
    run_stage(main, parser)
