"""Which augmentation a recipe's settings name, and what becomes of a batch."""

import dataclasses
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float32
from torch import Generator, Tensor

from models.training.augmix import augmix_operations
from models.training.chains import mix_chains
from models.training.parts import Augment, Batch
from models.training.prime import prime_operations
from models.training.settings import AugmentSettings

_KINDS = {"augmix": augmix_operations, "prime": prime_operations}
# The views of an image with which its prediction should agree.
_VIEWS = 2

Mix = Callable[[Float32[Tensor, "b 3 s s"], Generator], Float32[Tensor, "b 3 s s"]]


def open_augment(settings: AugmentSettings | None) -> Augment | None:
    """A function that mixes a batch's images with what chains of operations make of them; None: no augmentation.

    It comes last, after crop, flip, colours and mixer. Operations move pixels: of augmented images there are no masks
    and no twins. With `jsd` the images stay as they are, and two augmented views of each stand beside them.
    """
    if settings is None:
        return None
    return partial(_replaced if settings.jsd is None else _with_views, open_mix(settings))


def open_mix(settings: AugmentSettings) -> Mix:
    """A function that mixes images, and nothing else of a batch."""
    operations = _KINDS[settings.kind](settings)
    return partial(mix_chains, operations=operations, width=settings.width, depth=settings.depth, alpha=settings.alpha)


def _replaced(mix: Mix, batch: Batch, generator: Generator) -> Batch:
    return dataclasses.replace(batch, images=mix(batch.images, generator), masks=None, twins=None)


def _with_views(mix: Mix, batch: Batch, generator: Generator) -> Batch:
    views = [mix(batch.images, generator) for _ in range(_VIEWS)]
    return dataclasses.replace(batch, views=torch.stack(views, 1))
