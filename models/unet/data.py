"""Photos with their masks, decoded once at the network's size, and their random crops, flips and colours."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from bgdata.pixels import load_masks, load_pixels
from bgdata.randomness import image_generator, seeded_order
from bgdata.shards import ImageSet, Row
from models.unet.settings import UNetSettings

# (photo, mask, seed) to another view of both: `H W 3` uint8 and `H W` bool, the size stays.
Augmentation = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Pairs:
    """Photos and their masks, squeezed into squares of one size; `ids` is their order."""

    ids: list[str]
    pixels: UInt8[np.ndarray, "n s s 3"]
    masks: Bool[np.ndarray, "n s s"]

    def batch(self, indices: Int64[np.ndarray, " b"]) -> tuple[UInt8[Tensor, "b s s 3"], Bool[Tensor, "b s s"]]:
        """The pairs at `indices` as they are."""
        return torch.from_numpy(self.pixels[indices]), torch.from_numpy(self.masks[indices])

    def augmented(
        self, indices: Int64[np.ndarray, " b"], augment: Augmentation, *, seed: int, epoch: int
    ) -> tuple[UInt8[Tensor, "b s s 3"], Bool[Tensor, "b s s"]]:
        """The pairs at `indices` as an epoch shows them: the choices depend on (seed, id, epoch) alone."""
        pixels, masks = [], []
        for index in indices:
            word = image_generator(seed, self.ids[index], f"unet epoch {epoch}").integers(2**32)
            image, mask = augment(self.pixels[index], self.masks[index], int(word))
            pixels.append(image)
            masks.append(mask)
        return torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(masks))


def open_pairs(
    photos: Path, masks: Path, *, split: str, size: int, folder: Path, workers: int, sample: tuple[int, int] | None
) -> Pairs:
    """The photos of a split that have a mask, decoded at `size` pixels into `folder`; `sample`: (count, seed) of them.

    Raises InputError where a set is unfinished or empty, or a mask's photo is not there.
    """
    with ImageSet(photos) as photo_set, ImageSet(masks) as mask_set:
        mask_rows = mask_set.split(split)
        if sample is not None:
            mask_rows = _sampled(mask_rows, *sample)
        ids = [row.id for row in mask_rows]
        rows = photo_set.by_id(ids)
        label = f"decode {split}"
        pixels = load_pixels(
            photo_set, rows, size=size, folder=folder / "photos", workers=workers, label=f"{label} photos"
        )
        truths = load_masks(
            mask_set, mask_rows, size=size, folder=folder / "masks", workers=workers, label=f"{label} masks"
        )
    return Pairs(ids, pixels, truths)


def build_augmentation(settings: UNetSettings) -> Augmentation:
    """Random resized crop, flip and colours, of photo and mask in step."""
    # albumentations asks PyPI for its newest version when it is imported; the import takes seconds, and only training
    # needs it.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    scale, jitter = (settings.crop_scale, 1.0), (1 - settings.jitter, 1 + settings.jitter)
    chain = albumentations.Compose(
        [
            albumentations.RandomResizedCrop((settings.size, settings.size), scale=scale),
            albumentations.HorizontalFlip(p=0.5 if settings.flip else 0.0),
            albumentations.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter, hue=(0, 0), p=1.0),
        ]
    )

    def augment(image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        chain.set_random_seed(seed)
        view = chain(image=np.asarray(image), mask=np.asarray(mask).view(np.uint8))
        return view["image"], view["mask"].view(bool)

    return augment


def _sampled(rows: list[Row], count: int, seed: int) -> list[Row]:
    order = seeded_order(seed, [row.id for row in rows], "unet photos")[:count]
    return [rows[position] for position in sorted(order)]
