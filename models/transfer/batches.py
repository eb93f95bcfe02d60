"""What becomes of a batch's images on the device: floats, and PRIME or AugMix while a task is trained."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Generator, Tensor

from bgdata.errors import InputError
from models.training.settings import AugmentSettings

Mix = Callable[[Float32[Tensor, "b 3 h w"], np.random.Generator], Float32[Tensor, "b 3 h w"]]


def to_images(images: Sequence[UInt8[np.ndarray, "h w 3"]], device: torch.device) -> Float32[Tensor, "b 3 h w"]:
    """RGB images of one size as a batch in [0, 1]."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float().div_(255)


def open_mix(settings: AugmentSettings | None, *, in_place: bool) -> Mix:
    """A function that mixes images with what chains of random operations make of them; None: leaves them.

    What moves pixels (a warp, AugMix) wants square images.

    `in_place`: what is true of an image is true of its pixels (classes, masks, boxes), so nothing may move them.

    Raises InputError where the settings move pixels nevertheless, or compare views.
    """
    if settings is None:
        return lambda images, _: images
    if settings.jsd is not None:
        raise InputError("augment.jsd compares predictions on views of an image, which no task here does: leave it out")
    if in_place and settings.kind == "augmix":
        raise InputError("augment augmix moves pixels, whose labels stay where they are: take prime without warp")
    if in_place and settings.warp is not None:
        raise InputError("augment.warp moves pixels, whose labels stay where they are: leave it out")
    from models.training import augmentations  # here: takes a second, and networks are judged without

    mix = augmentations.open_mix(settings)
    return lambda images, generator: mix(images, torch_generator(generator))


def torch_generator(generator: np.random.Generator) -> Generator:
    """A generator of torch's on the CPU, seeded by the next draw of numpy's."""
    return Generator().manual_seed(int(generator.integers(2**63)))
