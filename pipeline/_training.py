"""A recipe's trainings, one a seed: from its start weights and its set to checkpoints with their histories."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from bgdata.classes import check_same, read_class_list
from bgdata.shards import MANIFEST, write_csv, write_text_whole
from models.classifiers.checkpoints import load_classifier, save_classifier
from models.devices import resolve_precision
from models.training.distributed import is_first
from models.training.recipes import class_lists, sets_read
from models.training.run import Run, Stored
from models.training.settings import TrainJob
from models.training.train import train_recipe
from models.weights.files import file_sha256
from pipeline._stage import RUNS, SETS, pixel_cache, read_settings, run_folder, runtime
from pipeline._workspace import workspace

# Written last.
_PROVENANCE = "provenance.json"


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
