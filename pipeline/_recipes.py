"""What the judges' DVC stages share: a recipe's checkpoints, judged one a seed, and where they work."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bgdata.classes import check_same, read_class_list
from bgdata.compose.background_classes import class_list_of
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST
from models.classifiers.checkpoints import load_classifier
from models.classifiers.judged import Judged, judged_classifier
from models.devices import resolve_device
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SCORES, SETS, run_checkpoints, runtime
from pipeline._workspace import workspace

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


def judging_space(
    judge: str,
    recipe: str,
    *,
    settings: Mapping[str, Any],
    sets: Sequence[str],
    checkpoints: Sequence[Path],
    endings: Sequence[str] = ("json",),
) -> AbstractContextManager[Path]:
    """The workspace of a judge and a recipe, whose files `<recipe>.<ending>` go to the judge's scores."""
    return workspace(
        f"{judge}-{recipe}",
        settings=dict(settings) | {"split": SPLIT},
        inputs={name: SETS / name / MANIFEST for name in sets}
        | {f"checkpoint {number}": path for number, path in enumerate(checkpoints)},
        outs={f"{recipe}.{ending}": SCORES / judge / f"{recipe}.{ending}" for ending in endings},
    )


def running_stage() -> dict[str, Any]:
    """Device and batch, as the judges take them."""
    return {"device": resolve_device(runtime()["device"]), "eval_batch": runtime()["eval_batch"]}
