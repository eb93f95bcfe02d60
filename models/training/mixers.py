"""Mixup and cutmix of a batch, drawn anew each time."""

import dataclasses
from functools import partial

import torch
from torch import Generator
from torchvision.transforms import v2

from bgdata.compose.background_classes import UNKNOWN
from models.training.parts import Batch, Mixer
from models.training.settings import MixerSettings

_KINDS = {"mixup": v2.MixUp, "cutmix": v2.CutMix}


def open_mixer(settings: MixerSettings | None) -> Mixer | None:
    """A function that mixes each image of a batch with the one before it, with one lambda a batch; None: no mixing.

    Of mixed images there are no masks and no twins, their backgrounds are of no known class, and their label is the
    heavier one. Source: torchvision's MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019).
    """
    if settings is None:
        return None
    return partial(_mixed, _KINDS[settings.kind](alpha=settings.alpha))


def _mixed(transform: v2.Transform, batch: Batch, generator: Generator) -> Batch:
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator of the CPU
        torch.default_generator.manual_seed(seed)
        images, targets = transform(batch.images, batch.targets)
    unknown = torch.full_like(batch.background_labels, UNKNOWN)
    return dataclasses.replace(
        batch,
        images=images,
        targets=targets,
        labels=targets.argmax(1),
        background_labels=unknown,
        masks=None,
        twins=None,
    )
