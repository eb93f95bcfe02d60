"""Train recipes side by side, each seed a task of `runtime.engine`: on a cluster, or on the GPUs of this machine.

    dvc repro init recipe_backgrounds mix in9l
    python -m pipeline.side_by_side           # all recipes, or those that are named
    dvc commit -f train && dvc repro

For DVC each recipe stays a stage of its own: `dvc commit` records what was trained here.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch

from bgdata.errors import InputError
from bgdata.parallel import run_tasks
from models.devices import resolve_device
from models.spread import network_on
from pipeline._stage import CONFIG, run_stage, runtime
from pipeline._training import Training

_SETTINGS = "train-"


def main(arguments: argparse.Namespace) -> None:
    """Train what is not trained yet."""
    known = sorted(path.stem.removeprefix(_SETTINGS) for path in CONFIG.glob(f"{_SETTINGS}*.json"))
    if not known:
        raise InputError(f"{CONFIG} holds no recipe: run `dvc repro config` first")
    chosen = arguments.recipes or known
    for recipes in _waves(chosen):
        train_side_by_side(recipes)
    print(f"trained: record it with `dvc commit -f {' '.join(f'train@{recipe}' for recipe in chosen)}`")


def train_side_by_side(recipes: Sequence[str]) -> None:
    """Train all seeds of recipes none of which starts from another, then publish them.

    Raises InputError where params.yaml has no such recipe, or what one starts from is missing.
    """
    device, workers = runtime()["device"], runtime()["workers"]
    with ExitStack() as stack:
        trainings = [Training(recipe) for recipe in recipes]
        works = [stack.enter_context(training.workspace()) for training in trainings]
        tasks = [
            (training.job.recipe.name, number, work)
            for training, work in zip(trainings, works, strict=True)
            for number in training.left(work)
        ]
        network = network_on(device, resolve_device, device)
        run_tasks(_train, tasks, workers=workers, total=len(tasks), label="train", unit="training", network=network)


def _train(device: torch.device, recipe: str, number: int, work: Path) -> int:
    Training(recipe).train(number, work, device)
    return 1


def _waves(recipes: Sequence[str]) -> Iterator[list[str]]:
    """The recipes in groups, each after those that it starts from."""
    starts = {recipe: Training(recipe).job.recipe.start for recipe in recipes}
    left = list(starts)
    while left:
        wave = [recipe for recipe in left if starts[recipe] not in left]
        left = [recipe for recipe in left if recipe not in wave]
        yield wave


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.side_by_side",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipes", nargs="*", help="names under `recipes` in params.yaml; default: all")
    run_stage(main, parser)
