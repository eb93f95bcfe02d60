"""Write LEADERBOARD.md from published numbers and submitted results; make a submission; check one.

`python -m pipeline.leaderboard` writes, `... submit` makes a file of the judges' results, and
`... check RESULT.json --data RELEASE --checkpoint FILE --arch resnet50` computes a seeded part of one again.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from bgdata.sources import open_sources
from models.classifiers.judged import Judged
from models.evaluation.challenge import SETS_READ
from models.evaluation.recheck import compare_models, recheck_challenge, recheck_in9, recount_corruptions
from models.evaluation.submissions import (
    AnyResult,
    ChallengeResult,
    CorruptionsResult,
    In9Result,
    read_json,
    read_results,
    read_submission,
)
from pipeline._arguments import check_file, positive, seed
from pipeline._judging import add_any_model_arguments, read_model, running
from pipeline._stage import LEADERBOARD, run_stage
from pipeline.report.leaderboard import read_leaderboard, render_markdown

PAGE = Path("LEADERBOARD.md")
# Whose results a submission may hold, by its key and the argument of `submit`.
_JUDGES = ("in9", "challenge", "corruptions")
# What `check` says of each.
_CHECKED = {
    In9Result: "the variants",
    ChallengeResult: "the challenge",
    CorruptionsResult: "the sums of the corruptions",
}


def main(arguments: argparse.Namespace) -> None:
    """Write the page, or do what was named."""
    {None: write_page, "submit": submit, "check": check}[arguments.task](arguments)


def write_page(_: argparse.Namespace) -> None:
    """Write LEADERBOARD.md."""
    board = read_leaderboard(LEADERBOARD)
    write_text_whole(PAGE, render_markdown(board))
    print(f"leaderboard: {PAGE}, {len(board.submitted)} submitted rows from {LEADERBOARD}")


def submit(arguments: argparse.Namespace) -> None:
    """Put the judges' results and what people want to know of the model into one file."""
    results = {key: read_json(path) for key in _JUDGES if (path := getattr(arguments, key))}
    for result in results.values():
        result.pop("background_rates", None)  # of `challenge --full`: large, and not shown
    content = {"name": arguments.name, "link": arguments.link, "trained_on": arguments.trained_on, **results}
    slug = re.sub(r"[^a-z0-9]+", "-", arguments.name.lower()).strip("-") or "model"
    out = arguments.out or LEADERBOARD / f"{slug}.json"
    check_file(out, argument="--out")
    if out.exists():
        raise InputError(f"{out} is there already: give another --name or --out, or remove it")
    write_text_whole(out, json.dumps(content, separators=(",", ":")) + "\n")
    try:
        read_submission(out)
    except InputError:
        out.unlink()
        raise
    print(f"leaderboard: {out}; now run `python -m pipeline.leaderboard`, and send both files")


def check(arguments: argparse.Namespace) -> None:
    """Compute a seeded part of a result again, and say where it differs."""
    if arguments.data is None:
        raise InputError("say on which data the result was made: --data RELEASE")
    results = read_results(arguments.result)
    if any(isinstance(result, In9Result) and result.probe for result in results):
        raise InputError(f"{arguments.result} is of a linear probe: check it by running its command again")
    how: dict[str, Any] = running(arguments) | {"workers": arguments.workers, "seed": arguments.seed}
    model, record = read_model(arguments, results[0].classes)
    differences = []
    for result in results:
        differences += compare_models(result.model, record) + _recheck(model, result, arguments, how)
    for difference in dict.fromkeys(differences):
        print(difference)
    if differences:
        raise InputError(f"{arguments.result} differs from what was computed again, as listed above")
    judges = " and ".join(_CHECKED[type(result)] for result in results)
    print(f"{arguments.result}: {judges}: all that was computed again is as recorded (seed {arguments.seed})")


def _recheck(model: Judged, result: AnyResult, arguments: argparse.Namespace, how: dict[str, Any]) -> list[str]:
    """Where a result differs from its own sums, and from a seeded part that the model is shown again."""
    if isinstance(result, CorruptionsResult):
        return recount_corruptions(result)
    if isinstance(result, In9Result):
        sources = open_sources(arguments.data, result.variants, split=result.split)
        return recheck_in9(model, sources, result, sample=arguments.photos, **how)
    sources = open_sources(arguments.data, SETS_READ, split=result.split)
    return recheck_challenge(model, sources, result, sample=arguments.foregrounds, **how)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.leaderboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task")
    making = tasks.add_parser("submit", help="make a submission of the judges' results")
    making.add_argument("--name", required=True, help="what the model is called")
    making.add_argument("--link", required=True, help="where it can be had: https://...")
    making.add_argument("--trained-on", required=True, help="what it was trained on")
    making.add_argument("--in9", type=Path, help="what `pipeline.evaluate --out` (or probe's) wrote")
    making.add_argument("--challenge", type=Path, help="what `pipeline.challenge --out` wrote")
    making.add_argument("--corruptions", type=Path, help="what `pipeline.corruptions --out` wrote")
    making.add_argument("--out", type=Path, help=f"default: {LEADERBOARD}/<name>.json")
    checking = tasks.add_parser("check", help="compute a seeded part of a result again")
    checking.add_argument("result", type=Path, help="a submission, or what a judge's --out wrote")
    add_any_model_arguments(checking)
    checking.add_argument("--photos", type=positive, default=50, help="photos of each variant")
    checking.add_argument(
        "--foregrounds", type=positive, default=10, help="foregrounds of the challenge, on all backgrounds"
    )
    checking.add_argument("--seed", type=seed, default=0, help="draws them")
    run_stage(main, parser)
