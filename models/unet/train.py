"""Training of the U-Net.

A loop of its own: that of the classifiers is bound to labels (soft targets, their mixing, accuracy) and would need a
parameter for nearly each of its lines. The schedule is that loop's.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.randomness import image_generator, seeded_order
from models.devices import exact_arithmetic
from models.training.schedule import learning_rate
from models.unet.data import Augmentation, Pairs, build_augmentation, open_pairs
from models.unet.network import UNet, build_unet, foreground_probability, to_unit
from models.unet.settings import UNetSettings
from models.weights.files import read_torch_file, save_whole

STATE = "state.pt"


def fit_unet(
    photos: Path,
    masks: Path,
    work: Path,
    *,
    settings: UNetSettings,
    seed: int,
    device: torch.device,
    precision: torch.dtype,
    workers: int,
) -> tuple[UNet, list[dict[str, Any]]]:
    """Train a U-Net on the train split of a set of photos and one of their masks; returns it, and a row an epoch.

    AdamW; the rate rises linearly and falls as a cosine, step by step. The decoded photos and, after each epoch, the
    state are kept in `work`: a killed run goes on from there to the same weights as an unbroken one. Validated on the
    val split, by the mean IoU of squares of the working size.

    Raises InputError where a set lacks what is needed, the encoder cannot be had, or the loss stops being a number.
    """
    # Before the data: a mistake in the encoder's name is told at once.
    unet = build_unet(
        settings.encoder, depth=settings.depth, size=settings.size, weights=settings.encoder_weights, seed=seed
    ).to(device)
    sample = None if settings.max_photos is None else (settings.max_photos, seed)
    train, val = (
        open_pairs(photos, masks, split=split, size=settings.size, folder=work / split, workers=workers, sample=of)
        for split, of in (("train", sample), ("val", None))
    )
    optimizer = torch.optim.AdamW(unet.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    history = _resume(work / STATE, unet, optimizer)
    augment = build_augmentation(settings)
    for epoch in range(len(history), settings.epochs):
        with _bar(epoch, settings, train) as bar, exact_arithmetic(), _epoch_seed(seed, epoch, device):
            loss = _train_epoch(
                unet, train, optimizer, settings, augment, epoch=epoch, seed=seed, precision=precision, bar=bar
            )
            iou = mean_iou(unet, val, threshold=settings.threshold, batch=settings.batch_size, precision=precision)
            bar.set_postfix(loss=f"{loss:.3f}", val=f"{iou:.3f}")
        rate = optimizer.param_groups[0]["lr"]
        history.append({"epoch": epoch + 1, "lr": rate, "train_loss": loss, "val_iou": iou})
        save_whole({"unet": unet.state_dict(), "optimizer": optimizer.state_dict(), "history": history}, work / STATE)
    return unet.eval(), history


def segmentation_loss(
    logits: Float32[Tensor, "b h w"], masks: Bool[Tensor, "b h w"], *, dice_share: float
) -> Float32[Tensor, ""]:
    """Cross-entropy a pixel and the soft Dice loss a photo, in shares that sum to 1.

    Source: V-Net (Milletari et al. 2016), eq. 2, with sums in place of squares and 1 added above and below the line: a
    photo without foreground then has a gradient too.
    """
    truth = masks.float()
    entropy = F.binary_cross_entropy_with_logits(logits, truth)
    found = torch.sigmoid(logits)
    common, both = (found * truth).sum((1, 2)), found.sum((1, 2)) + truth.sum((1, 2))
    dice = (2 * common + 1) / (both + 1)
    return (1 - dice_share) * entropy + dice_share * (1 - dice).mean()


def mean_iou(unet: UNet, pairs: Pairs, *, threshold: float, batch: int, precision: torch.dtype) -> float:
    """The mean over photos of the IoU of found and true foreground, at the working size; 1 where both are empty."""
    unet.eval()
    values = []
    for start in range(0, len(pairs.ids), batch):
        images, truth = pairs.batch(np.arange(start, min(start + batch, len(pairs.ids))))
        found = foreground_probability(unet, images, precision=precision) >= threshold
        common, union = (found & truth).sum((1, 2)), (found | truth).sum((1, 2))
        values.append(torch.where(union > 0, common / union.clamp(min=1), 1.0))
    return float(torch.cat(values).mean())


def _train_epoch(
    unet: UNet,
    pairs: Pairs,
    optimizer: torch.optim.Optimizer,
    settings: UNetSettings,
    augment: Augmentation,
    *,
    epoch: int,
    seed: int,
    precision: torch.dtype,
    bar: "tqdm[Any]",
) -> float:
    """One pass over the data; returns the mean loss."""
    device = unet.mean.device
    unet.train()
    batches = _batches(pairs.ids, settings.batch_size, seed=seed, epoch=epoch)
    steps = settings.epochs * len(batches)
    total = torch.zeros((), device=device)
    for number, indices in enumerate(batches):
        for group in optimizer.param_groups:
            step = epoch * len(batches) + number
            group["lr"] = learning_rate(step, steps, peak=settings.lr, warmup=settings.warmup)
        images, masks = pairs.augmented(indices, augment, seed=seed, epoch=epoch)
        logits = unet(to_unit(images, device), precision=precision)
        loss = segmentation_loss(logits, masks.to(device), dice_share=settings.dice_share)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        optimizer.step()
        total += loss.detach()
        bar.update(len(indices))
    mean = float(total) / len(batches)
    if not math.isfinite(mean):
        raise InputError(
            f"the loss of the U-Net is no longer a number in epoch {epoch + 1}: lower unet.lr (it is {settings.lr}), "
            "or raise unet.warmup"
        )
    return mean


def _batches(ids: list[str], size: int, *, seed: int, epoch: int) -> list[Int64[np.ndarray, " b"]]:
    """Shuffled indices in full batches; the rest is left to another epoch (a batch of one has no batch statistics)."""
    order = np.array(seeded_order(seed, ids, f"unet order {epoch}"), np.int64)
    full = len(ids) // size * size or len(ids)
    return np.split(order[:full], range(size, full, size))


@contextmanager
def _epoch_seed(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators inside the block, for the encoders that draw from them (dropped paths)."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(image_generator(seed, f"epoch {epoch}", "unet").integers(2**63)))
        yield


def _resume(path: Path, unet: UNet, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    state = read_torch_file(path)
    unet.load_state_dict(state["unet"])
    optimizer.load_state_dict(state["optimizer"])
    history: list[dict[str, Any]] = state["history"]
    return history


def _bar(epoch: int, settings: UNetSettings, pairs: Pairs) -> "tqdm[Any]":
    count = len(pairs.ids)
    photos = count // settings.batch_size * settings.batch_size or count
    return tqdm(total=photos, desc=f"unet {epoch + 1}/{settings.epochs}", unit="img", mininterval=1.0)
