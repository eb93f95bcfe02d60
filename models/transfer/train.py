"""Training a task's network on a backbone. The loop knows no task: it draws batches, asks for losses, and steps."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.randomness import image_generator, seeded_order
from bgdata.shards import write_csv
from bgdata.transfer_sets.base import TaskSet
from models.devices import exact_arithmetic
from models.transfer.backbones import FeatureNetwork
from models.transfer.modes import MODES, trained_parameters
from models.transfer.presets import Preset, build_optimizer, count_steps, rate_at
from models.transfer.reading import Reader
from models.transfer.settings import TrainSettings
from models.transfer.tasks import Task, total_loss
from models.weights.files import read_torch_file, save_whole

STATE, HISTORY = "state.pt", "history.csv"
_ROWS = 100  # of the history
# A kill costs so many seconds at most.
_KEPT_EVERY = 60.0


@dataclass(frozen=True)
class TransferRun:
    """By which seed, on what, in which folder a killed training finds its state, and how many threads read images.

    `kept_every`: seconds between two states.
    """

    seed: int
    device: torch.device
    folder: Path
    workers: int
    kept_every: float = _KEPT_EVERY


@dataclass(frozen=True)
class _Training:
    task: Task
    network: nn.Module
    optimizer: torch.optim.Optimizer
    preset: Preset
    batch: int
    steps: int
    clip: float | None
    run: TransferRun


def train_transfer(
    task: Task, backbone: FeatureNetwork, data: TaskSet, preset: Preset, settings: TrainSettings, run: TransferRun
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train a task's network on a backbone, of which the mode says what is trained; returns it in evaluation mode, and
    a history of at most 101 rows: step, rate, and the mean of each part of the loss over the steps of the row.

    Batches, augmentation and all that a network draws come from (seed, step). The state is kept in the run's folder
    every minute or so: a killed training goes on from there to the weights of an unbroken one. The history stands there
    as `history.csv`.

    Raises InputError where the state is of another training, or the loss stops being a number.
    """
    training = _begin(task, backbone, data, preset, settings, run)
    history = _resume(training)
    done = history[-1]["step"] if history else 0
    every = max(1, training.steps // _ROWS)
    batches = Reader(data).batches(_batch_ids(data.ids, training, done), workers=run.workers)
    sums: dict[str, Tensor] = {}
    kept, first = time.monotonic(), done
    training.network.train()
    with _bar(training, done) as bar, exact_arithmetic():
        for step, batch in enumerate(batches, start=done):
            parts = _step(training, step, batch)
            sums = {name: part + sums.get(name, 0.0) for name, part in parts.items()}
            bar.update()
            if (step + 1) % every and step + 1 < training.steps:
                continue
            history.append(_row(training, step, sums, count=step + 1 - first))
            bar.set_postfix(loss=f"{history[-1]['loss']:.3f}", refresh=False)
            sums, first = {}, step + 1
            if time.monotonic() - kept >= run.kept_every or step + 1 == training.steps:
                _keep(training, history)
                kept = time.monotonic()
    return training.network.eval(), history


def _begin(
    task: Task, backbone: FeatureNetwork, data: TaskSet, preset: Preset, settings: TrainSettings, run: TransferRun
) -> _Training:
    batch = min(settings.batch or preset.batch, len(data.ids))
    steps = count_steps(preset, len(data.ids), batch=batch, epochs=settings.epochs, steps=settings.steps)
    said = {name: value for name in ("optimizer", "lr", "warmup") if (value := getattr(settings, name)) is not None}
    with _seeded(run, "build"):
        network = task.build(MODES[settings.mode](backbone), len(data.categories))
    network.to(run.device)
    preset = replace(preset, **said)
    optimizer = build_optimizer(network, preset)
    return _Training(task, network, optimizer, preset, batch, steps, settings.clip, run)


def _step(training: _Training, step: int, batch: Sequence[Any]) -> dict[str, Tensor]:
    """One step; returns the parts of its loss, which stay where they were computed."""
    run, optimizer = training.run, training.optimizer
    rate = rate_at(training.preset, step, steps=training.steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    with _seeded(run, f"step {step}"):
        generator = image_generator(run.seed, f"step {step}", "augmentation")
        parts = training.task.losses(training.network, batch, device=run.device, generator=generator)
        loss = total_loss(parts)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if training.clip is not None:
        nn.utils.clip_grad_norm_(trained_parameters(training.network).values(), training.clip)
    optimizer.step()
    return {name: part.detach() for name, part in (parts | {"loss": loss}).items()}


def _row(training: _Training, step: int, sums: Mapping[str, Tensor], *, count: int) -> dict[str, Any]:
    means = {name: float(total) / count for name, total in sums.items()}
    if not math.isfinite(means["loss"]):
        raise InputError(
            f"the loss of {training.task.name} is no longer a number by step {step + 1}: lower lr (it is "
            f"{training.preset.lr}), raise warmup, or set clip"
        )
    rate = training.optimizer.param_groups[0]["lr"]
    return {"step": step + 1, "lr": rate, "loss": means.pop("loss")} | means


def _batch_ids(ids: Sequence[str], training: _Training, done: int) -> Iterator[list[str]]:
    """The ids of each step's batch: full ones of orders that are drawn anew each time all images were seen."""
    count = len(ids) // training.batch
    order: list[int] = []
    for step in range(done, training.steps):
        epoch, number = divmod(step, count)
        if not order or number == 0:
            order = seeded_order(training.run.seed, ids, f"transfer order {epoch}")
        yield [ids[place] for place in order[number * training.batch : (number + 1) * training.batch]]


@contextmanager
def _seeded(run: TransferRun, what: str) -> Iterator[None]:
    """Seed torch's global generators inside the block: networks' weights, samplers and dropout draw from them."""
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        seed = int(image_generator(run.seed, what, "transfer").integers(2**63))
        if run.device.type == "cpu":
            # The same draws; torch.manual_seed notes a stack trace a call for a GPU that never comes: 1 ms a step.
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield


def _keep(training: _Training, history: list[dict[str, Any]]) -> None:
    state = {
        "network": training.network.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "history": history,
        "of": _identity(training),
    }
    write_csv(training.run.folder / HISTORY, list(history[0]), history)
    save_whole(state, training.run.folder / STATE)


def _resume(training: _Training) -> list[dict[str, Any]]:
    """Put the state of a killed training back; returns its history."""
    path = training.run.folder / STATE
    if not path.is_file():
        return []
    state = read_torch_file(path)
    if state.get("of") != _identity(training):
        raise InputError(f"{path} is of a training with other settings: remove it, or give another folder")
    training.network.load_state_dict(state["network"])
    training.optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _identity(training: _Training) -> dict[str, Any]:
    trained = sorted(trained_parameters(training.network))
    return {
        "task": training.task.name,
        "seed": training.run.seed,
        "batch": training.batch,
        "steps": training.steps,
        "preset": repr(training.preset),
        "clip": training.clip,
        "trained": trained,
        "shapes": {name: list(value.shape) for name, value in training.network.state_dict().items()},
    }


def _bar(training: _Training, done: int) -> "tqdm[Any]":
    return tqdm(total=training.steps, initial=done, desc=training.task.name, unit="step", mininterval=1.0)
