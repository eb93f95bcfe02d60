"""What a task is to the training loop and to the judges, and intervals of its numbers over images."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from bgdata.transfer_sets.base import LabelledImage
from models.transfer.backbones import FeatureNetwork

RESAMPLES = 1000


@runtime_checkable
class Scored(Protocol):
    """The numbers of predictions: fractions by metric, and what they would be of other draws of the same images."""

    @property
    def values(self) -> dict[str, float]:
        """Every metric of the task."""
        ...

    def resampled(self, counts: Int64[np.ndarray, "r n"]) -> dict[str, Float64[np.ndarray, " r"]]:
        """Every metric of r draws, in which image i stands `counts[:, i]` times; NaN where a draw has no truth.

        Draws that are shared by conditions (clean, corrupted) give intervals of their differences and ratios.
        """
        ...


@runtime_checkable
class Task(Protocol):
    """A task, with its settings: how a network is built on a backbone, trained, asked and judged."""

    name: str
    metrics: tuple[str, ...]

    def build(self, backbone: FeatureNetwork, categories: int) -> nn.Module:
        """A network on a backbone, which it holds as a module; the rest is drawn from torch's global generator."""
        ...

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        """The parts of the loss of a batch by name; their sum is what is minimised.

        Resizing and augmentation are in here, and draw from `generator` or from torch's global one, which are both
        seeded by (seed, step).
        """
        ...

    def predict(self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device) -> list[Any]:
        """What a network in evaluation mode says of each image, in the pixels of the image as it came."""
        ...

    def score(self, predictions: Sequence[Any], truth: Iterable[LabelledImage], categories: Sequence[str]) -> Scored:
        """Compare predictions with the truth, image by image in the same order; `truth` is read once, and not kept."""
        ...


def intervals(scored: Scored, images: int, *, seed: int, resamples: int = RESAMPLES) -> dict[str, list[float]]:
    """The 95 % bootstrap interval over images of each metric: so many images drawn anew, with replacement.

    Source: Efron 1979, percentile interval. Draws without any truth are left out.
    """
    values = scored.resampled(draw_counts(images, seed=seed, resamples=resamples))
    return {metric: np.nanquantile(found, (0.025, 0.975)).tolist() for metric, found in values.items()}


def draw_counts(images: int, *, seed: int, resamples: int = RESAMPLES) -> Int64[np.ndarray, "{resamples} {images}"]:
    """How often each image stands in each of so many draws with replacement."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), resamples)


def total_loss(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of the parts of a loss."""
    return torch.stack([*losses.values()]).sum()
