"""Schedules of Yamada and Otani 2022 by task and mode, as typed values, for trainings of any length.

Source: the configurations in runopti/RobustDownstreamTransfer, those of mmdetection 2 and mmsegmentation 0 that they
build on, and robust-models-transfer's defaults for CIFAR-10. What differs from them is said where it does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from models.transfer.modes import trained_parameters

Task = Literal["detection", "segmentation", "classification"]


@dataclass(frozen=True)
class StepDecay:
    """The rate is a tenth after each of the `milestones`, shares of the training."""

    milestones: tuple[float, ...]

    def share(self, progress: float) -> float:
        """The rate as a share of the peak, at a share of the training."""
        return 0.1 ** sum(progress >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class PolyDecay:
    """The rate falls as a power of what is left of the training, to `floor`, a share of the peak."""

    power: float
    floor: float = 0.0

    def share(self, progress: float) -> float:
        """The rate as a share of the peak, at a share of the training."""
        return self.floor + (1 - self.floor) * (1 - progress) ** self.power


@dataclass(frozen=True)
class Preset:
    """How a task is trained: `length` in epochs or steps of `batch` images, as theirs was; a demo takes fewer.

    `warmup`: steps in which the rate rises, at most a tenth of the training. `undecayed`: parameters with one of these
    in their names have no weight decay.
    """

    optimizer: Literal["sgd", "adamw"]
    lr: float
    weight_decay: float
    batch: int
    length: int
    unit: Literal["epochs", "steps"]
    decay: StepDecay | PolyDecay
    warmup: int = 0
    momentum: float = 0.9
    undecayed: tuple[str, ...] = ()


# Swin's: "no weight decay for position embedding & layer norm".
_SWINS_UNDECAYED = ("absolute_pos_embed", "relative_position_bias_table", "norm")

# mmdetection's 2x schedule. Batches are an image count on one GPU: how many GPUs they had is not said. They gave the
# regular ResNet-50 half this rate where the full network was trained, so that backbones were compared at different
# rates; here all have one.
_DETECTION = Preset(
    "sgd",
    lr=0.04,
    weight_decay=1e-4,
    batch=6,
    length=24,
    unit="epochs",
    decay=StepDecay((16 / 24, 22 / 24)),
    warmup=500,
)
_DETECTION_SWIN = Preset(
    "adamw",
    lr=1e-4,
    weight_decay=0.05,
    batch=3,
    length=24,
    unit="epochs",
    decay=StepDecay((16 / 24, 22 / 24)),
    warmup=500,
    undecayed=_SWINS_UNDECAYED,
)
# mmsegmentation's 80k schedule: poly, power 0.9, down to 1e-4 of a peak of 1e-2.
_SEGMENTATION = Preset(
    "sgd", lr=0.01, weight_decay=5e-4, batch=6, length=80_000, unit="steps", decay=PolyDecay(0.9, floor=0.01)
)
_SEGMENTATION_SWIN = Preset(
    "adamw",
    lr=6e-5,
    weight_decay=0.01,
    batch=2,
    length=80_000,
    unit="steps",
    decay=PolyDecay(1.0),
    warmup=1500,
    undecayed=_SWINS_UNDECAYED,
)
# robust-models-transfer: a tenth every 30 epochs, the same for all backbones.
_CLASSIFICATION = Preset(
    "sgd",
    lr=0.01,
    weight_decay=5e-4,
    batch=64,
    length=150,
    unit="epochs",
    decay=StepDecay((30 / 150, 60 / 150, 90 / 150, 120 / 150)),
)

# By task: of convolutional backbones, of Swins. A mode changes what the optimizer is given, and no number.
_PRESETS: dict[Task, tuple[Preset, Preset]] = {
    "detection": (_DETECTION, _DETECTION_SWIN),
    "segmentation": (_SEGMENTATION, _SEGMENTATION_SWIN),
    "classification": (_CLASSIFICATION, _CLASSIFICATION),
}


def find_preset(task: Task, *, swin: bool = False) -> Preset:
    """Their schedule of a task, for a convolutional backbone or a Swin; the same in every mode."""
    return _PRESETS[task][swin]


def count_steps(preset: Preset, images: int, *, batch: int, epochs: int | None = None, steps: int | None = None) -> int:
    """The steps of a training over so many images: `steps`, else `epochs`, else as long as the preset says."""
    if steps is None and epochs is None:
        steps, epochs = (preset.length, None) if preset.unit == "steps" else (None, preset.length)
    if steps is not None:
        return steps
    assert epochs is not None
    return epochs * max(1, images // batch)


def rate_at(preset: Preset, step: int, *, steps: int) -> float:
    """The learning rate of a step of so many."""
    warmup = min(preset.warmup, steps // 10)
    rising = min(1.0, (step + 1) / (warmup + 1))
    return preset.lr * rising * preset.decay.share(step / steps)


def build_optimizer(network: nn.Module, preset: Preset) -> torch.optim.Optimizer:
    """The preset's optimizer over what of a network is trained, and nothing else."""
    groups = [group for group in _groups(network, preset) if group["params"]]
    if preset.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=preset.lr)
    return torch.optim.SGD(groups, lr=preset.lr, momentum=preset.momentum)


def _groups(network: nn.Module, preset: Preset) -> Iterator[dict[str, object]]:
    trained = trained_parameters(network)
    spared = {name for name in trained if any(word in name for word in preset.undecayed)}
    yield {"params": [trained[name] for name in trained if name not in spared], "weight_decay": preset.weight_decay}
    yield {"params": [trained[name] for name in trained if name in spared], "weight_decay": 0.0}
