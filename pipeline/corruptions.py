"""Judge classifiers under common corruptions: accuracy by corruption and severity, mPC, rPC and mCE.

All recipes of this pipeline (`python -m pipeline.corruptions`, as the DVC stage does), one of them
(`python -m pipeline.corruptions RECIPE`), or any model
(`python -m pipeline.corruptions --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
import hashlib
import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bgdata.corrupt.corruptions import CORRUPTIONS, REGIONS, SEVERITIES
from bgdata.errors import InputError
from bgdata.shards import MANIFEST
from bgdata.text import read_text
from models.evaluation.challenge import table_identity
from models.evaluation.corruption_normalisers import ALEXNET, Normaliser, OtherResult
from models.evaluation.corruptions import check_normaliser, corruption_score, judge_corruptions
from models.evaluation.sensitivity import SETS_READ
from pipeline._arguments import check_file, check_folder, seed
from pipeline._corrupted import NAMES, open_door
from pipeline._corrupted_recipes import recipe_checkpoints, score_recipes
from pipeline._judging import add_model_arguments, birth, read_model, running, write_result
from pipeline._printing import print_corruptions
from pipeline._recipes import read_finished
from pipeline._stage import CORRUPTED, SCORES, SETS, read_settings, run_stage
from pipeline._workspace import workspace

# What says something of the plain command alone.
_PLAIN = (
    *("checkpoint", "weights", "entry", "classes", "out"),
    *("names", "severities", "regions", "seed", "normaliser", "keep"),
)


def main(arguments: argparse.Namespace) -> None:
    """Judge recipes or any model."""
    if arguments.data is None and arguments.corrupted is None:
        _refuse(arguments, _PLAIN, "says nothing of recipes: give it with --data or --corrupted, or leave it out")
        judge_recipes(arguments.recipe)
        return
    if arguments.recipe is not None:
        raise InputError("give either a recipe (the DVC stage) or --data or --corrupted with a model, not both")
    if arguments.corrupted is not None:
        _refuse(arguments, ("seed",), "says nothing of --corrupted, whose photos are made already: leave it out")
    check_file(arguments.out, argument="--out")
    check_folder(arguments.keep, argument="--keep")
    judge_any(arguments)


def judge_recipes(only: str | None) -> None:
    """Judge the checkpoints of all recipes (or of one) in one go, then write `scores/corruptions/<recipe>.json`: the
    first seed's score, and all in brief. A file that is of the same checkpoints, data and code stays as it is.
    """
    recipes = read_settings("corruptions")["recipes"]
    if only not in (None, *recipes):
        raise InputError(f"{only} is none of params.yaml's recipes {', '.join(recipes)}: name one, or none for all")
    checkpoints = recipe_checkpoints(recipes if only is None else [only])
    inputs = {"corrupted": CORRUPTED / MANIFEST} | {name: SETS / name / MANIFEST for name in SETS_READ}
    for paths in checkpoints.values():
        inputs |= paths
    out = SCORES / "corruptions"
    with workspace("corruptions", settings=list(checkpoints), inputs=inputs, outs={"scores": out}) as work:
        (work / "scores").mkdir(exist_ok=True)
        scores = score_recipes(checkpoints, finished=out, work=work / "cells")
        for recipe in recipes:
            score = scores.get(recipe) or read_finished(out / f"{recipe}.json", None)
            if score is not None:
                write_result(work / "scores" / f"{recipe}.json", score)


def judge_any(arguments: argparse.Namespace) -> None:
    """Judge, print, and write `--out`."""
    run, normaliser = running(arguments), read_normaliser(arguments.normaliser)
    keeping = nullcontext(arguments.keep) if arguments.keep else tempfile.TemporaryDirectory(prefix="corruptions-")
    with keeping as keep:
        door = open_door(arguments, Path(keep))
        check_normaliser(normaliser, door.corruptions)
        model, record = read_model(arguments, door.data.classes)
        name = hashlib.sha256(table_identity(model, record, {}).encode()).hexdigest()[:16]
        judged = judge_corruptions({name: model}, door.data, Path(keep), corruptions=door.corruptions, **run)
        score = birth(arguments, record, door.sources)
        score |= {"data": str(arguments.data or arguments.corrupted), "seed": door.data.record["seed"]}
        score |= {} if arguments.corrupted is None else {"corrupted": str(arguments.corrupted)}
        score |= corruption_score(judged[name], door.data, normaliser=normaliser)
    write_result(arguments.out, score)
    print_corruptions(score)


def read_normaliser(path: Path | None) -> Normaliser:
    """AlexNet's published errors, or those of a result file.

    Raises InputError where the file is none of this judge's results.
    """
    if path is None:
        return ALEXNET
    try:
        record: Any = json.loads(read_text(path))
    except (ValueError, RecursionError):
        raise InputError(f"--normaliser {path} is no JSON: give a result of this command") from None
    return OtherResult(record, where=str(path))


def _refuse(arguments: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(arguments, name, None) is not None:
            raise InputError(f"--{name} {why}")


def _add_own_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which corruptions (of any model)")
    group.add_argument(
        "--corrupted",
        type=Path,
        metavar="FOLDER",
        help="corrupted photos: data/corrupted of ours, or published ones (<corruption>/<severity>/<class>/, as "
        "ImageNet-C's); --data then gives the clean photos, if any. Default: --data's `original` is corrupted now",
    )
    group.add_argument(
        "--names",
        nargs="+",
        choices=(*NAMES, *CORRUPTIONS),
        metavar="NAME",
        help=f"standard (the fifteen; default), all, or of {', '.join(CORRUPTIONS)}; default of --corrupted: all there",
    )
    group.add_argument("--severities", nargs="+", type=int, choices=SEVERITIES, help="default: 1 2 3 4 5")
    group.add_argument(
        "--regions",
        nargs="+",
        choices=REGIONS,
        help="what of a photo is corrupted; default: whole; the others need masks",
    )
    group.add_argument("--seed", type=seed, help="of the corruptions' random numbers; default 0")
    group.add_argument(
        "--normaliser",
        type=Path,
        metavar="RESULT",
        help="mCE is relative to this result of the same cells; default: AlexNet's published errors",
    )
    group.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keeps what is judged: run again to go on after a kill"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.corruptions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    _add_own_arguments(parser)
    run_stage(main, parser)
