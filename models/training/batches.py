"""The batches of an epoch: drawn, treated, augmented and mixed, each process its part."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Generator, Tensor

from bgdata.randomness import image_generator
from models.training.augment import crop_and_flip, jitter_colours
from models.training.distributed import own_part
from models.training.parts import Batch, Drawn
from models.training.recipes import Recipe
from models.training.settings import LoopSettings


def epoch_batches(
    recipe: Recipe, settings: LoopSettings, epoch: int, seed: int, *, device: torch.device
) -> Iterator[tuple[int, int, Batch]]:
    """The batches of an epoch, or this process's parts of them: (number, how many there are, batch)."""
    words = ("order", "background", "augment", "mix", "chains")
    generators = {word: generator_of(seed, f"epoch {epoch}", word) for word in words}
    groups = full_batches(recipe.order(generators["order"]), settings.batch_size)
    for number, indices in enumerate(groups):
        drawn = recipe.treat(recipe.data.draw(indices), generators["background"])
        if not len(recipe.objective.penalties):
            drawn = replace(drawn, masks=None)  # nobody else asks for them any more
        batch = augmented(drawn, recipe.data.targets, generators["augment"], settings, device=device)
        if recipe.mixer is not None:
            batch = recipe.mixer(batch, generators["mix"])
        if recipe.augment is not None:
            batch = recipe.augment(batch, generators["chains"])
        yield number, len(groups), own_part(batch)


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


def full_batches(order: Int64[np.ndarray, " n"], size: int) -> list[Int64[np.ndarray, " b"]]:
    """Indices in full batches; the rest is left to another epoch (a batch of one has no batch statistics)."""
    full = len(order) // size * size or len(order)
    return np.split(order[:full], range(size, full, size))


def generator_of(seed: int, name: str, purpose: str) -> Generator:
    """A CPU generator for one name (of an epoch, a copy) and purpose."""
    return Generator().manual_seed(int(image_generator(seed, name, purpose).integers(2**63)))


def _on_device(layers: UInt8[Tensor, "b c h w"], device: torch.device) -> UInt8[Tensor, "b c h w"]:
    """The copy to CUDA overlaps with what it computes."""
    return layers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else layers
