"""What the judges' DVC stages share: all recipes in one start, each recipe's checkpoints one a seed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bgdata.classes import check_same, read_class_list
from bgdata.compose.background_classes import class_list_of
from bgdata.errors import InputError
from bgdata.parallel import run_tasks
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST
from models.classifiers.checkpoints import load_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.devices import resolve_device
from models.spread import network_on
from models.weights.files import file_sha256
from pipeline._judging import write_result
from pipeline._stage import RUNS, SETS, read_settings, run_checkpoints, runtime
from pipeline._workspace import fingerprint, link_file, workspace

SPLIT = "val"


def read_judged(checkpoint: Path, sources: Mapping[str, ImageSource]) -> tuple[Judged, dict[str, Any]]:
    """The model of a checkpoint of ours that is to be judged on some sets, and which it is.

    Raises InputError where it was trained on another list of classes than theirs.
    """
    classifier, record = load_classifier(checkpoint)
    trained = read_class_list(record.get("class_list"), where=str(checkpoint))
    classes = check_same(
        {str(checkpoint): trained} | {str(source.folder): class_list_of(source) for source in sources.values()}
    )
    origin = {"checkpoint_sha256": file_sha256(checkpoint), "seed": record["seed"]}
    return judged_classifier(classifier, classes), origin


def judge_seeds(
    recipe: str,
    sources: Mapping[str, ImageSource],
    judge: Callable[[Judged, int], Mapping[str, Any]],
    brief: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> dict[str, Any]:
    """A recipe's score: the first seed's whole, and of each seed (`seeds`) what `brief` keeps.

    `judge` is given the model of each seed's checkpoint, and the seed's number; `sources` are the sets that it reads.

    Raises InputError where a checkpoint was trained on another list of classes than theirs.
    """
    first: dict[str, Any] = {}
    seeds = []
    for number, checkpoint in enumerate(run_checkpoints(RUNS / recipe)):
        model, origin = read_judged(checkpoint, sources)
        score = judge(model, number)
        first = first or {"recipe": recipe} | origin | {"split": SPLIT} | dict(score)
        seeds.append(origin | dict(brief(score)))
    return first | {"seeds": seeds}


# Judges a recipe: `judge(recipe, scores, scratch)` answers its score, and puts other files into `scores`.
Judge = Callable[[str, Path, Path], Mapping[str, Any]]


def judge_recipes(
    stage: str,
    open_judge: Callable[[], Judge],
    *,
    only: str | None,
    out: Path,
    sets: Sequence[str],
    endings: Sequence[str] = ("json",),
) -> None:
    """Judge the recipes of params.yaml in one start, or `only` one: `<recipe>.json` in `out` is the score of the judge
    that `open_judge` makes.

    Each worker of `runtime.engine`, and on one machine each GPU, opens a judge (a function of a module) and takes a
    recipe at a time. What it leaves in `scratch` is there again after a kill. A result that lies in `out` with its
    other files (`endings`), and is of the same checkpoints, sets, settings and code, stays as it is: so a new recipe
    costs its own judgement and no other.

    Raises InputError where `only` is no recipe, or a set or checkpoint is missing.
    """
    settings = read_settings(stage)
    recipes = settings.pop("recipes")
    if only not in (None, *recipes):
        raise InputError(f"{only} is none of params.yaml's recipes {', '.join(recipes)}: name one, or none for all")
    judged = recipes if only is None else [only]
    manifests = {name: SETS / name / MANIFEST for name in sets}
    checkpoints = {recipe: dict(enumerate(run_checkpoints(RUNS / recipe))) for recipe in judged}
    inputs = {f"{recipe} {number}": path for recipe, of in checkpoints.items() for number, path in of.items()}
    with workspace(stage, settings=[settings, judged], inputs=manifests | inputs, outs={"scores": out}) as work:
        (work / "scores").mkdir(exist_ok=True)
        left = []
        for recipe in recipes:
            of_seeds = {f"seed {number}": path for number, path in checkpoints.get(recipe, {}).items()}
            stamp = fingerprint(stage, settings, manifests | of_seeds) if of_seeds else None
            if read_finished(work / "scores" / f"{recipe}.json", stamp):
                continue
            if read_finished(out / f"{recipe}.json", stamp):
                for ending in endings:
                    link_file(out / f"{recipe}.{ending}", work / "scores" / f"{recipe}.{ending}")
            elif of_seeds:
                left.append((recipe, work, stamp))
        how = {"workers": runtime()["workers"], "total": len(left), "label": stage, "unit": "recipe"}
        run_tasks(_judge_recipe, left, network=network_on(runtime()["device"], open_judge), **how)


def _judge_recipe(judge: Judge, recipe: str, work: Path, stamp: str) -> int:
    score = judge(recipe, work / "scores", work / recipe)
    write_result(work / "scores" / f"{recipe}.json", {**score, "fingerprint": stamp})
    return 1


def read_finished(path: Path, stamp: str | None) -> dict[str, Any] | None:
    """A recipe's score that was written before; None where there is none, or it is of something else than `stamp`
    (None: of whatever it is).
    """
    try:
        score: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return score if stamp in (None, score["fingerprint"]) else None
    except (OSError, ValueError, KeyError, TypeError):  # half a file, or another's: it is judged again
        return None


def running_stage() -> dict[str, Any]:
    """Device and batch, as the judges take them."""
    return {"device": resolve_device(runtime()["device"]), "eval_batch": runtime()["eval_batch"]}
