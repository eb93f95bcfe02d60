"""Train one recipe, once for each seed: from its start weights and its set to checkpoints with their histories."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from bgdata.classes import check_same, read_class_list
from bgdata.shards import MANIFEST, write_csv, write_text_whole
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.devices import resolve_device, resolve_precision
from models.training.distributed import first_ones, is_first, process_group
from models.training.recipes import class_lists, sets_read
from models.training.run import Run, Stored
from models.training.settings import TrainJob
from models.training.train import train_recipe
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SETS, pixel_cache, read_settings, run_folder, run_stage, runtime
from pipeline._workspace import workspace

# Written last.
_PROVENANCE = "provenance.json"


def main(arguments: argparse.Namespace) -> None:
    """Train, then write `model.pt`, `history.csv` and `provenance.json` of each seed."""
    training = Training(arguments.recipe)
    local_rank = os.environ.get("LOCAL_RANK")  # torchrun's
    device = resolve_device(runtime()["device"])
    with (
        process_group(device, None if local_rank is None else int(local_rank)) as device,
        _shared(training.workspace()) as work,
    ):
        for number in training.left(work):
            training.train(number, work, device)


class Training:
    """A recipe's stage: its settings, what it reads, and its trainings, one a seed.

    Raises InputError where params.yaml has no such recipe.
    """

    def __init__(self, recipe: str) -> None:
        self._settings = read_settings(f"train-{recipe}")
        self.job = TrainJob.model_validate(self._settings)
        self._manifests = {name: SETS / name / MANIFEST for name in sets_read(self.job.recipe)}
        self._starts = [run_folder(RUNS / self.job.recipe.start, number) / "model.pt" for number in self._numbers]

    @property
    def _numbers(self) -> range:
        return range(len(self.job.seeds))

    def workspace(self) -> AbstractContextManager[Path]:
        """Where it trains; what lies in `run` is published."""
        return workspace(
            f"train-{self.job.recipe.name}",
            settings=self._settings,
            inputs=self._manifests | {f"start {number}": path for number, path in enumerate(self._starts)},
            outs={"run": RUNS / self.job.recipe.name},
        )

    def left(self, work: Path) -> list[int]:
        """The seeds, by number, that are not trained yet."""
        return [number for number in self._numbers if not (run_folder(work / "run", number) / _PROVENANCE).is_file()]

    def train(self, number: int, work: Path, device: torch.device) -> None:
        """Train with the `number`-th seed; goes on where a killed training was."""
        run = run_folder(work / "run", number)
        _train(self.job, self.job.seeds[number], self._starts[number], work, run, self._manifests, device)


@contextmanager
def _shared(space: AbstractContextManager[Path]) -> Iterator[Path]:
    """The first process's workspace, which it alone locks and publishes, for all that train together."""
    if is_first():
        with space as work:
            yield first_ones(work)
    else:
        yield first_ones(None)


def _train(
    job: TrainJob,
    seed: int,
    start: Path,
    work: Path,
    run: Path,
    manifests: dict[str, Path],
    device: torch.device,
) -> None:
    precision = resolve_precision(job.train.precision, device)
    state = work / f"seed-{seed}"
    state.mkdir(exist_ok=True)
    classifier, begun = load_classifier(start)
    stored = Stored(SETS, pixel_cache(), runtime()["workers"])
    begun_with = {str(start): read_class_list(begun.get("class_list"), where=str(start))}
    classes = check_same(begun_with | class_lists(job.recipe, stored))
    history, parameters = train_recipe(
        classifier,
        job.recipe,
        job.train,
        Run(seed, device, precision, state),
        stored,
    )
    if not is_first():
        return
    run.mkdir(parents=True, exist_ok=True)
    record = save_classifier(
        run / "model.pt",
        classifier,
        {
            "recipe": job.recipe.model_dump(),
            "params": job.train.model_dump(),
            "data": {name: file_sha256(path) for name, path in (manifests | {"start": start}).items()},
            "parameters": parameters,
            "seed": seed,
            "class_list": classes.to_record(),
            "device": device.type,
            "precision": str(precision).removeprefix("torch."),
        },
    )
    write_csv(run / "history.csv", list(history[0]), history)
    provenance = record | {"checkpoint_sha256": file_sha256(run / "model.pt")}
    write_text_whole(run / _PROVENANCE, json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.train", description=__doc__)
    parser.add_argument("recipe", help="a name under `recipes` in params.yaml")
    run_stage(main, parser)
