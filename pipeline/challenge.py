"""Put a classifier to the Backgrounds Challenge: each foreground on each background of the test set.

A recipe of this pipeline (`python -m pipeline.challenge RECIPE`, as the DVC stage does), or any model
(`python -m pipeline.challenge --data RELEASE --checkpoint FILE --arch resnet50 [--in9]`).
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from bgdata.shards import MANIFEST, write_text_whole
from bgdata.sources import open_sources
from models.classifiers.checkpoints import load_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.classifiers.loading import state_sha256
from models.devices import resolve_device, resolve_precision
from models.evaluation.adversarial import AdversarialGallery, choose_rated
from models.evaluation.challenge import (
    ROUND,
    SETS_READ,
    Verdicts,
    brief_score,
    challenge_score,
    judge_foregrounds,
    open_challenge,
)
from models.evaluation.pairs import ChallengeData
from models.weights.files import file_sha256
from pipeline._judging import (
    add_model_arguments,
    birth,
    check_door,
    interval,
    percent,
    print_table,
    read_model,
    running,
    write_result,
)
from pipeline._parts import parse_part, run_parts
from pipeline._stage import RUNS, SCORES, SETS, read_settings, run_checkpoints, run_stage, runtime
from pipeline._workspace import workspace

SPLIT = "val"


def main(arguments: argparse.Namespace) -> None:
    """Judge a recipe's classifier or any model."""
    check_door(arguments)
    if arguments.recipe is not None:
        judge_recipe(arguments.recipe)
    elif arguments.processes > 1:
        with run_parts("pipeline.challenge", arguments) as work:
            judge_any(arguments, work)
    else:
        judge_any(arguments, arguments.work)


def judge_recipe(recipe: str) -> None:
    """Judge the checkpoint of each seed, then write `scores/challenge/<recipe>.json`: the first's score, all in brief.

    Fooling rates and the gallery are the first's alone.
    """
    settings = read_settings("challenge")
    checkpoints = run_checkpoints(RUNS / recipe)
    with workspace(
        f"challenge-{recipe}",
        settings=settings | {"split": SPLIT},
        inputs={name: SETS / name / MANIFEST for name in SETS_READ}
        | {f"checkpoint {number}": path for number, path in enumerate(checkpoints)},
        outs={"score.json": SCORES / "challenge" / f"{recipe}.json"},
    ) as work:
        data, _ = open_challenge(open_sources(SETS, SETS_READ), split=SPLIT, workers=runtime()["workers"])
        rated = choose_rated(data, settings["rated_per_class"], seed=settings["seed"])
        model, origin = _read_checkpoint(checkpoints[0])
        verdicts = _judge(model, data, full=rated, folder=work / "pairs")
        device = resolve_device(runtime()["device"])
        gallery = AdversarialGallery(model, data, verdicts, rated=rated, device=device, seed=settings["seed"])
        first = challenge_score(verdicts, data, full=rated)
        seeds = [origin | brief_score(first)]
        for number, path in enumerate(checkpoints[1:], start=1):
            model, of_seed = _read_checkpoint(path)
            verdicts = _judge(model, data, full=False, folder=work / f"pairs-{number}")
            seeds.append(of_seed | brief_score(challenge_score(verdicts, data)))
        score = {"recipe": recipe} | origin | {"split": SPLIT} | first | {"gallery": gallery.record(), "seeds": seeds}
        write_text_whole(work / "score.json", json.dumps(score, indent=1) + "\n")


def _read_checkpoint(checkpoint: Path) -> tuple[Judged, dict[str, Any]]:
    """The model, and which it is."""
    classifier, record = load_classifier(checkpoint)
    return judged_classifier(classifier), {"checkpoint_sha256": file_sha256(checkpoint), "seed": record["seed"]}


def _judge(model: Judged, data: ChallengeData, *, full: bool | np.ndarray, folder: Path) -> Verdicts:
    device, batch = resolve_device(runtime()["device"]), runtime()["eval_batch"]
    return judge_foregrounds(model, data, device=device, eval_batch=batch, full=full, folder=folder)


def judge_any(arguments: argparse.Namespace, work: Path | None) -> None:
    """Judge, print, and write `--out`."""
    model, record = read_model(arguments)
    model = model.among_nine() if arguments.nine_only else model
    sources = open_sources(arguments.data, SETS_READ)
    run = running(arguments)
    data, without_mask = open_challenge(
        sources, split=arguments.split, workers=arguments.workers, folder=work / "images" if work else None
    )
    judged = {"nine_only": arguments.nine_only, "model": record | {"state_sha256": state_sha256(model)}}
    verdicts = judge_foregrounds(
        model,
        data,
        precision=resolve_precision(arguments.precision, run["device"]),
        full=arguments.full,
        part=arguments.part,
        folder=work / "pairs" if work else None,
        identity=json.dumps([judged, {name: source.manifest["shards"] for name, source in sources.items()}]),
        round_pairs=max(ROUND, run["eval_batch"]),
        **run,
    )
    of_part = {"part": f"{arguments.part[0]}/{arguments.part[1]}"} if arguments.part[1] > 1 else {}
    score = birth(arguments, record) | {"nine_only": arguments.nine_only, "photos_without_mask": without_mask} | of_part
    score |= challenge_score(verdicts, data, full=arguments.full)
    write_result(arguments.out, score)
    _print(score)


def _print(score: dict[str, Any]) -> None:
    rows = [(name, score["per_class"][name]) for name in score["per_class"]] + [("all", score)]
    print_table(
        ["class", "challenge accuracy", "95 % interval", "vulnerable"],
        [
            [
                name,
                percent(cells["challenge_accuracy"]),
                interval(cells["interval"]),
                f"{cells['vulnerable']} / {cells['count']}",
            ]
            for name, cells in rows
        ],
    )
    pairs, passes = score["count"] * score["backgrounds"], score["forward_passes"]
    print(f"\n{passes} of {pairs} composites were classified ({percent(passes / pairs)}), ", end="")
    print(f"{score['decided_in_float32']} of them again in float32 to decide")
    if score["photos_without_mask"]:
        print(f"{score['photos_without_mask']} photos have no mask and were left out, as the official evaluator does")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.challenge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_model_arguments(parser)
    parser.add_argument("--full", action="store_true", help="visit every pair: fooling rates of all images")
    parser.add_argument("--nine-only", action="store_true", help="choose among the nine's outputs only")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "float32", "bfloat16"), help="of the fast passes"
    )
    parser.add_argument("--work", type=Path, help="folder that keeps what is done: run again after a kill to go on")
    parser.add_argument("--part", type=parse_part, default=(1, 1), metavar="I/N", help="every n-th foreground alone")
    parser.add_argument("--processes", type=int, default=1, help="judge in so many processes (GPUs in turn)")
    run_stage(main, parser)
