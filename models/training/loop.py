"""The training loop. It knows no recipe: it draws batches, augments them, steps, and tells the parts."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.randomness import image_generator
from models.classifiers import Classifier
from models.devices import exact_arithmetic
from models.evaluation.accuracy import predict_labels
from models.training.augment import crop_and_flip, jitter_colours
from models.training.distributed import (
    average,
    average_buffers,
    average_gradients,
    is_first,
    own_part,
    process_count,
)
from models.training.losses import Network
from models.training.optimizers import build_optimizer, set_rate
from models.training.parts import Batch, Drawn
from models.training.recipes import Recipe
from models.training.schedule import learning_rate
from models.training.settings import LoopSettings
from models.weights import read_torch_file, save_whole

STATE = "state.pt"


def fit(
    classifier: Classifier,
    recipe: Recipe,
    settings: LoopSettings,
    *,
    validation: tuple[UInt8[np.ndarray, "v s s 3"], Int64[np.ndarray, " v"]],
    seed: int,
    device: torch.device,
    precision: torch.dtype,
    folder: Path,
    label: str,
) -> list[dict[str, Any]]:
    """Train a classifier in place; returns the history, one row an epoch.

    The rate rises linearly and falls as a cosine, step by step. The state is kept in `folder` after each epoch: a
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
    classifier.to(device)
    recipe.parts.to(device)
    optimizer = build_optimizer(classifier, settings, backbone_lr=recipe.backbone_lr)
    for part in recipe.members:
        part.begin(classifier)
    history = _resume(folder / STATE, classifier, recipe.parts, optimizer)
    images, labels = validation
    network = torch.compile(classifier) if settings.compile else classifier

    def predict(pixels: UInt8[np.ndarray, "n s s 3"]) -> Int64[np.ndarray, " n"]:
        with autocast(device, precision):
            return predict_labels(classifier, pixels, device=device, batch=settings.batch_size)

    for epoch in range(len(history), settings.epochs):
        with _bar(label, epoch, settings, recipe) as bar, exact_arithmetic(), _epoch_seed(seed, epoch, device):
            loss = _train_epoch(
                classifier, network, recipe, optimizer, settings, epoch, seed, precision=precision, bar=bar
            )
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss of {label} is no longer a number in epoch {epoch + 1}: lower train.lr (it is "
                    f"{settings.lr}), or raise train.warmup"
                )
            rate = optimizer.param_groups[-1]["lr"]
            for part in recipe.members:
                part.after_epoch(predict)
            recipe.averaging.collect(classifier, (epoch + 1) / settings.epochs)
            if epoch + 1 == settings.epochs:
                recipe.averaging.finish(
                    classifier, lambda: _refresh(classifier, recipe, settings, seed, precision=precision)
                )
            accuracy = float((predict(images) == labels).mean())
            bar.set_postfix(loss=f"{loss:.3f}", val=f"{accuracy:.3f}")
        row = {"epoch": epoch + 1, "lr": rate, "train_loss": loss, "val_accuracy": accuracy}
        history.append(row | {name: value for part in recipe.members for name, value in part.figures().items()})
        if is_first():
            _save(folder / STATE, classifier, recipe.parts, optimizer, history)
    return history


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Multiply in `precision` inside the block, where it is not float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def _train_epoch(
    classifier: Classifier,
    network: Network,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    settings: LoopSettings,
    epoch: int,
    seed: int,
    *,
    precision: torch.dtype,
    bar: "tqdm[Any]",
) -> float:
    """One pass over the data; returns the mean loss. `network` is the classifier, or what compiles it."""
    device = classifier.mean.device
    _set_training(classifier)
    total, steps = torch.zeros((), device=device), 0
    for number, count, batch in epoch_batches(recipe, settings, epoch, seed, device=device):
        progress = (epoch * count + number) / (settings.epochs * count)
        rate = learning_rate(epoch * count + number, settings.epochs * count, peak=settings.lr, warmup=settings.warmup)
        set_rate(optimizer, recipe.averaging.rate(rate, progress))
        with autocast(device, precision):
            loss = recipe.objective(network, batch)
        optimizer.zero_grad()
        loss.backward()
        average_gradients(classifier)
        optimizer.step()
        average_buffers(recipe.objective)
        for part in recipe.members:
            part.after_step(classifier, (epoch * count + number + 1) / (settings.epochs * count))
        total += loss.detach()
        steps += 1
        bar.update(len(batch.labels) * process_count())
    average_buffers(classifier)
    return float(average(total)) / steps


def epoch_batches(
    recipe: Recipe, settings: LoopSettings, epoch: int, seed: int, *, device: torch.device
) -> Iterator[tuple[int, int, Batch]]:
    """The batches of an epoch, or this process's parts of them: (number, how many there are, batch)."""
    generators = {word: _generator(seed, epoch, word) for word in ("order", "background", "augment", "mix")}
    groups = _full_batches(recipe.order(generators["order"]), settings.batch_size)
    for number, indices in enumerate(groups):
        drawn = recipe.treat(recipe.data.draw(indices), generators["background"])
        if not len(recipe.objective.penalties):
            drawn = replace(drawn, masks=None)  # nobody else asks for them any more
        batch = augmented(drawn, recipe.data.targets, generators["augment"], settings, device=device)
        yield number, len(groups), own_part(batch if recipe.mixer is None else recipe.mixer(batch, generators["mix"]))


def augmented(
    drawn: Drawn,
    targets: Float32[Tensor, "n k"],
    generator: Generator,
    settings: LoopSettings,
    *,
    device: torch.device,
) -> Batch:
    """A batch on the device after the random crop, flip and colours; masks and twins stay in step with the images."""
    stacked = [drawn.images]
    if drawn.twins is not None:
        stacked.append(drawn.twins)
    if drawn.masks is not None:
        stacked.append(drawn.masks.view(torch.uint8) * 255)
    layers = _on_device(torch.cat(stacked, 1) if len(stacked) > 1 else stacked[0], device)
    layers = crop_and_flip(layers, generator, crop_scale=settings.crop_scale, flip=settings.flip)
    colours = generator.get_state()
    images = jitter_colours(layers[:, :3], generator, jitter=settings.jitter)
    twins = None
    if drawn.twins is not None:
        twins = jitter_colours(layers[:, 3:6], Generator().set_state(colours), jitter=settings.jitter)
    return Batch(
        images,
        targets[torch.from_numpy(drawn.indices)].to(device),
        drawn.labels.to(device),
        drawn.background_labels.to(device),
        masks=None if drawn.masks is None else layers[:, -1:],
        twins=twins,
    )


def _on_device(layers: UInt8[Tensor, "b c h w"], device: torch.device) -> UInt8[Tensor, "b c h w"]:
    """The copy to CUDA overlaps with what it computes."""
    return layers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else layers


def _set_training(classifier: Classifier) -> None:
    """Training mode, but for batch norms that are frozen: their statistics stay as they are, too."""
    classifier.train()
    for module in classifier.modules():
        if isinstance(module, _BatchNorm) and not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()


@torch.no_grad()
def _refresh(
    classifier: Classifier, recipe: Recipe, settings: LoopSettings, seed: int, *, precision: torch.dtype
) -> None:
    """Measure the batch statistics anew, over one more pass through the data, the mean of all batches.

    As `torch.optim.swa_utils.update_bn`, but frozen batch norms keep theirs, and nothing else trains (dropout).
    """
    _set_training(classifier)
    norms = [norm for norm in classifier.modules() if isinstance(norm, _BatchNorm) and norm.training]
    if not norms:
        return
    device, momenta = classifier.mean.device, [norm.momentum for norm in norms]
    classifier.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    for _, _, batch in epoch_batches(recipe, settings, settings.epochs, seed, device=device):
        with autocast(device, precision):
            classifier(batch.images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average_buffers(classifier)


def _full_batches(order: Int64[np.ndarray, " n"], size: int) -> list[Int64[np.ndarray, " b"]]:
    """Indices in full batches; the rest is left to another epoch (a batch of one has no batch statistics)."""
    full = len(order) // size * size or len(order)
    return np.split(order[:full], range(size, full, size))


def _generator(seed: int, epoch: int, purpose: str) -> Generator:
    """A CPU generator for one epoch and purpose."""
    word = image_generator(seed, f"epoch {epoch}", purpose).integers(2**63)
    return Generator().manual_seed(int(word))


@contextmanager
def _epoch_seed(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators inside the block, for the networks that draw from them (dropout)."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(image_generator(seed, f"epoch {epoch}", "network").integers(2**63)))
        yield


def _save(
    path: Path,
    classifier: Classifier,
    parts: nn.ModuleList,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, Any]],
) -> None:
    state = {"classifier": classifier.state_dict(), "parts": parts.state_dict(), "optimizer": optimizer.state_dict()}
    save_whole(state | {"history": history}, path)


def _resume(
    path: Path, classifier: Classifier, parts: nn.ModuleList, optimizer: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    state = read_torch_file(path)
    classifier.load_state_dict(state["classifier"])
    parts.load_state_dict(state["parts"])
    optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _bar(label: str, epoch: int, settings: LoopSettings, recipe: Recipe) -> "tqdm[Any]":
    count = len(recipe.data.pixels)
    images = count // settings.batch_size * settings.batch_size or count
    return tqdm(
        total=images, desc=f"{label} {epoch + 1}/{settings.epochs}", unit="img", mininterval=1.0, disable=not is_first()
    )
