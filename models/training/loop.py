"""The training loop. It knows no recipe: it takes batches, steps, and tells the parts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.randomness import image_generator
from models.classifiers.classifier import Classifier
from models.devices import autocast, exact_arithmetic
from models.evaluation.accuracy import predict_labels
from models.training.batches import epoch_batches
from models.training.distributed import average, average_buffers, average_gradients, is_first, process_count
from models.training.losses import Network
from models.training.norms import refresh_statistics, set_training
from models.training.optimizers import build_optimizer, set_rate
from models.training.recipes import Recipe
from models.training.run import Run
from models.training.schedule import learning_rate
from models.training.settings import LoopSettings
from models.weights.files import read_torch_file, save_whole

STATE = "state.pt"


@dataclass(frozen=True)
class _Training:
    """What all epochs share. `network` is the classifier, or what compiles it."""

    label: str
    classifier: Classifier
    network: Network
    recipe: Recipe
    settings: LoopSettings
    run: Run
    optimizer: torch.optim.Optimizer


def fit(
    classifier: Classifier,
    recipe: Recipe,
    settings: LoopSettings,
    run: Run,
    *,
    validation: tuple[UInt8[np.ndarray, "v s s 3"], Int64[np.ndarray, " v"]],
    label: str,
) -> list[dict[str, Any]]:
    """Train a classifier in place; returns the history, one row an epoch.

    The rate rises linearly and falls as a cosine, step by step. The state is kept in `run.folder` after each epoch: a
    killed run goes on from there to the same weights as an unbroken one, since each epoch's random choices come from
    (seed, epoch) alone. `validation` holds images at rest and their labels; `label` names the bars.

    Where several processes train together (see `distributed`) each steps on a part of a batch, and the first writes.

    Raises InputError where the loss stops being a number, or a batch cannot be shared out.
    """
    if settings.batch_size % process_count():
        raise InputError(
            f"train.batch_size is {settings.batch_size}, which {process_count()} processes cannot share equally: give "
            "a multiple of --nproc-per-node"
        )
    classifier.to(run.device)
    recipe.parts.to(run.device)
    network = torch.compile(classifier) if settings.compile else classifier
    optimizer = build_optimizer(classifier, settings, backbone_lr=recipe.backbone_lr)
    training = _Training(label, classifier, network, recipe, settings, run, optimizer)
    for part in recipe.members:
        part.begin(classifier)
    history = _resume(training)
    images, labels = validation
    for epoch in range(len(history), settings.epochs):
        with _bar(training, epoch) as bar, exact_arithmetic(), _epoch_seed(run, epoch):
            loss = _train_epoch(training, epoch, bar)
            rate = optimizer.param_groups[-1]["lr"]
            _end_epoch(training, epoch)
            accuracy = float((_predict(training, images) == labels).mean())
            bar.set_postfix(loss=f"{loss:.3f}", val=f"{accuracy:.3f}")
        row = {"epoch": epoch + 1, "lr": rate, "train_loss": loss, "val_accuracy": accuracy}
        history.append(row | {name: value for part in recipe.members for name, value in part.figures().items()})
        if is_first():
            _save(training, history)
    return history


def _train_epoch(training: _Training, epoch: int, bar: "tqdm[Any]") -> float:
    """One pass over the data; returns the mean loss.

    Raises InputError where that is no number.
    """
    classifier, recipe, settings, run = training.classifier, training.recipe, training.settings, training.run
    set_training(classifier)
    total, steps = torch.zeros((), device=run.device), 0
    for number, count, batch in epoch_batches(recipe, settings, epoch, run.seed, device=run.device):
        step, all_steps = epoch * count + number, settings.epochs * count
        rate = learning_rate(step, all_steps, peak=settings.lr, warmup=settings.warmup)
        set_rate(training.optimizer, recipe.averaging.rate(rate, step / all_steps))
        with autocast(run.device, run.precision):
            loss = recipe.objective(training.network, batch)
        training.optimizer.zero_grad()
        loss.backward()
        average_gradients(classifier)
        training.optimizer.step()
        for part in recipe.members:
            part.after_step(classifier, (step + 1) / all_steps)
        total += loss.detach()
        steps += 1
        bar.update(len(batch.labels) * process_count())
    average_buffers(classifier)
    mean = float(average(total)) / steps
    if not math.isfinite(mean):
        raise InputError(
            f"the loss of {training.label} is no longer a number in epoch {epoch + 1}: lower train.lr (it is "
            f"{settings.lr}), or raise train.warmup"
        )
    return mean


def _end_epoch(training: _Training, epoch: int) -> None:
    """Tell the parts; after the last epoch the classifier holds the weights that the training ends with."""
    classifier, recipe, settings, run = training.classifier, training.recipe, training.settings, training.run
    for part in recipe.members:
        part.after_epoch(partial(_predict, training))
    recipe.averaging.collect(classifier, (epoch + 1) / settings.epochs)
    if epoch + 1 == settings.epochs:
        recipe.averaging.finish(classifier, lambda: refresh_statistics(classifier, recipe, settings, run))


def _predict(training: _Training, pixels: UInt8[np.ndarray, "n s s 3"]) -> Int64[np.ndarray, " n"]:
    run = training.run
    with autocast(run.device, run.precision):
        return predict_labels(training.classifier, pixels, device=run.device, batch=training.settings.batch_size)


@contextmanager
def _epoch_seed(run: Run, epoch: int) -> Iterator[None]:
    """Seed the global generators inside the block, for the networks that draw from them (dropout)."""
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(int(image_generator(run.seed, f"epoch {epoch}", "network").integers(2**63)))
        yield


def _state_file(training: _Training) -> Path:
    return training.run.folder / STATE


def _save(training: _Training, history: list[dict[str, Any]]) -> None:
    state = {
        "classifier": training.classifier.state_dict(),
        "parts": training.recipe.parts.state_dict(),
        "optimizer": training.optimizer.state_dict(),
    }
    save_whole(state | {"history": history}, _state_file(training))


def _resume(training: _Training) -> list[dict[str, Any]]:
    """Put the state of a killed training back; returns its history."""
    if not _state_file(training).is_file():
        return []
    state = read_torch_file(_state_file(training))
    training.classifier.load_state_dict(state["classifier"])
    training.recipe.parts.load_state_dict(state["parts"])
    training.optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _bar(training: _Training, epoch: int) -> "tqdm[Any]":
    count, settings = len(training.recipe.data.pixels), training.settings
    return tqdm(
        total=count // settings.batch_size * settings.batch_size or count,
        desc=f"{training.label} {epoch + 1}/{settings.epochs}",
        unit="img",
        mininterval=1.0,
        disable=not is_first(),
    )
