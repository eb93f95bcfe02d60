"""The training loop. It knows no recipe: it draws batches, augments them, and steps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, Int64, UInt8
from torch import Generator, Tensor
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.randomness import image_generator
from models.checkpoints import save_whole
from models.classifiers import Classifier, read_torch_file
from models.devices import exact_arithmetic
from models.evaluation.accuracy import predict_labels
from models.training.augment import crop_and_flip, jitter_colours
from models.training.recipes import TrainingData
from models.training.schedule import learning_rate
from models.training.settings import LoopSettings

STATE = "state.pt"


def fit(
    classifier: Classifier,
    data: TrainingData,
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

    SGD with Nesterov momentum; the rate rises linearly and falls as a cosine, step by step. The state is kept in
    `folder` after each epoch: a killed run goes on from there to the same weights as an unbroken one, since each
    epoch's random choices come from (seed, epoch) alone. `validation` holds images at rest and their labels; `label`
    names the bars.

    Raises InputError where the loss stops being a number.
    """
    classifier.to(device)
    optimizer = torch.optim.SGD(
        classifier.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    history = _resume(folder / STATE, classifier, optimizer)
    images, labels = validation
    for epoch in range(len(history), settings.epochs):
        with _bar(label, epoch, settings, data) as bar, exact_arithmetic(), _epoch_seed(seed, epoch, device):
            loss = _train_epoch(classifier, data, optimizer, settings, epoch, seed, precision=precision, bar=bar)
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss of {label} is no longer a number in epoch {epoch + 1}: lower train.lr (it is "
                    f"{settings.lr}), or raise train.warmup"
                )
            with autocast(device, precision):
                predictions = predict_labels(classifier, images, device=device, batch=settings.batch_size)
            accuracy = float((predictions == labels).mean())
            bar.set_postfix(loss=f"{loss:.3f}", val=f"{accuracy:.3f}")
        rate = optimizer.param_groups[0]["lr"]
        history.append({"epoch": epoch + 1, "lr": rate, "train_loss": loss, "val_accuracy": accuracy})
        state = {"classifier": classifier.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
        save_whole(state, folder / STATE)
    return history


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Multiply in `precision` inside the block, where it is not float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


def _train_epoch(
    classifier: Classifier,
    data: TrainingData,
    optimizer: torch.optim.Optimizer,
    settings: LoopSettings,
    epoch: int,
    seed: int,
    *,
    precision: torch.dtype,
    bar: "tqdm[Any]",
) -> float:
    """One pass over the data; returns the mean loss."""
    device = classifier.mean.device
    classifier.train()
    batches = _batches(len(data.pixels), settings.batch_size, _generator(seed, epoch, "order"))
    total_steps = settings.epochs * len(batches)
    augmenting, replacing = (_generator(seed, epoch, purpose) for purpose in ("augment", "background"))
    total = torch.zeros((), device=device)
    for number, indices in enumerate(batches):
        rate = learning_rate(epoch * len(batches) + number, total_steps, peak=settings.lr, warmup=settings.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images = augmented(to_floats(data.batch(indices, replacing), device), augmenting, settings)
        targets = data.targets[torch.from_numpy(indices)].to(device)
        with autocast(device, precision):
            logits = classifier(images)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        optimizer.step()
        total += loss.detach()
        bar.update(len(indices))
    return float(total) / len(batches)


def augmented(
    images: Float32[Tensor, "b 3 s s"], generator: Generator, settings: LoopSettings
) -> Float32[Tensor, "b 3 s s"]:
    """A batch after the random crop, flip and colours."""
    images = crop_and_flip(images, generator, crop_scale=settings.crop_scale, flip=settings.flip)
    return jitter_colours(images, generator, jitter=settings.jitter)


def to_floats(images: UInt8[Tensor, "b 3 h w"], device: torch.device) -> Float32[Tensor, "b 3 h w"]:
    """Images in [0, 1] on the device; the copy to CUDA overlaps with what it computes."""
    if device.type == "cuda":
        images = images.pin_memory().to(device, non_blocking=True)
    return images.float().div_(255)


def _batches(count: int, size: int, generator: Generator) -> list[Int64[np.ndarray, " b"]]:
    """Shuffled indices in full batches; the rest is left to another epoch (a batch of one has no batch statistics)."""
    order = torch.randperm(count, generator=generator).numpy()
    full = count // size * size or count
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


def _resume(path: Path, classifier: Classifier, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    state = read_torch_file(path)
    classifier.load_state_dict(state["classifier"])
    optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _bar(label: str, epoch: int, settings: LoopSettings, data: TrainingData) -> "tqdm[Any]":
    count = len(data.pixels)
    images = count // settings.batch_size * settings.batch_size or count
    return tqdm(total=images, desc=f"{label} {epoch + 1}/{settings.epochs}", unit="img", mininterval=1.0)
