"""The parts that recipes are put together from: images with soft labels, and what is done to their backgrounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Generator, Tensor

from bgdata.compose.paste import paste_foreground
from bgdata.errors import InputError
from bgdata.labels import CLASS_COUNT
from bgdata.pixels import load_masks, load_pixels
from bgdata.shards import ImageSet, Row
from models.evaluation.accuracy import labels_of
from models.training.settings import RecipeSettings

# What is done to a batch before it is augmented: (images, their indices in the set, generator) to images.
Treatment = Callable[[Tensor, Int64[np.ndarray, " b"], Generator], Tensor]


@dataclass(frozen=True)
class TrainingData:
    """What the loop draws from: images at rest, their soft labels, and the treatment of a batch's backgrounds."""

    pixels: UInt8[np.ndarray, "n s s 3"]
    targets: Float32[Tensor, "n k"]
    treat: Treatment

    def batch(self, indices: Int64[np.ndarray, " b"], generator: Generator) -> UInt8[Tensor, "b 3 s s"]:
        """The treated images at `indices`."""
        return self.treat(as_batch(self.pixels[indices]), indices, generator)


def sets_read(recipe: RecipeSettings) -> list[str]:
    """The sets that a recipe reads, `original` for its validation among them."""
    return sorted({"original", recipe.data, *(("fg_mask", "only_bg_t") if recipe.background == "dynamic" else ())})


def open_recipe(
    recipe: RecipeSettings, sets: Path, *, size: int, p: float | None, folder: Path, workers: int
) -> TrainingData:
    """The training data of a recipe, decoded at `size` pixels into `folder`; `p` is dynamic's alone.

    Raises InputError where a set is not there, or lacks a photo's mask.
    """
    with ImageSet(sets / recipe.data) as images:
        rows = images.split("train")
        pixels = load_pixels(
            images, rows, size=size, folder=folder / recipe.data, workers=workers, label=f"decode {recipe.data}"
        )
    treat: Treatment = keep
    if recipe.background == "dynamic" and p is not None:
        treat = _open_replacement(rows, sets, size=size, p=p, folder=folder, workers=workers)
    return TrainingData(pixels, soft_labels(rows), treat)


def open_validation(
    sets: Path, *, size: int, folder: Path, workers: int
) -> tuple[UInt8[np.ndarray, "n s s 3"], Int64[np.ndarray, " n"]]:
    """The val images of `original` and their labels: what every recipe is validated on."""
    with ImageSet(sets / "original") as images:
        rows = images.split("val")
        return load_pixels(images, rows, size=size, folder=folder, workers=workers, label="decode val"), labels_of(rows)


def soft_labels(rows: Sequence[Row]) -> Float32[Tensor, "n k"]:
    """`lam * onehot(label) + (1 - lam) * onehot(partner_label)` for mixed images, else one-hot.

    Source: mixup (Zhang et al. 2018), eq. 1.
    """
    targets = torch.zeros(len(rows), CLASS_COUNT)
    for target, row in zip(targets, rows, strict=True):
        lam = float(row.extra.get("lam") or 1)
        target[row.label] += lam
        if lam < 1:
            target[int(row.extra["partner_label"])] += 1 - lam
    return targets


def keep(images: Tensor, indices: Int64[np.ndarray, " b"], generator: Generator) -> Tensor:  # noqa: ARG001  # a Treatment
    """The images as they are."""
    return images


def replace_backgrounds(
    masks: Bool[np.ndarray, "n s s"],
    backgrounds: UInt8[np.ndarray, "m s s 3"],
    own: Int64[np.ndarray, " n"],
    *,
    p: float,
) -> Treatment:
    """Dynamic replacement: with probability `p` an image's background becomes that of a random other photo.

    `masks` are the images' foregrounds, in their order; `own[i]` is where the background of image i's own photo lies in
    `backgrounds` (-1: nowhere), which it never gets. Any class may come.
    Source: the dynamic replacement of the WUST system (a random `only_bg_t` behind each foreground, drawn anew each
    time an image is shown).

    Raises InputError where there is no second background to draw.
    """
    if len(backgrounds) < 2:
        raise InputError("dynamic replacement needs at least two backgrounds: raise render.per_class.train")

    def treat(images: Tensor, indices: Int64[np.ndarray, " b"], generator: Generator) -> Tensor:
        draws = torch.rand(2, len(indices), generator=generator, dtype=torch.float64).numpy()
        (chosen,) = np.nonzero(draws[0] < p)
        if not len(chosen):
            return images
        photos = indices[chosen]
        has_own = own[photos] >= 0
        others = (draws[1, chosen] * (len(backgrounds) - has_own)).astype(np.int64)
        others += has_own & (others >= own[photos])
        mask = torch.from_numpy(masks[photos])[:, None]
        replaced = images.clone()
        replaced[chosen] = paste_foreground(as_batch(backgrounds[others]), images[chosen], mask)
        return replaced

    return treat


def as_batch(pixels: UInt8[np.ndarray, "b s s 3"]) -> UInt8[Tensor, "b 3 s s"]:
    """Images at rest as a tensor (a view, channels last in memory)."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _open_replacement(rows: Sequence[Row], sets: Path, *, size: int, p: float, folder: Path, workers: int) -> Treatment:
    with ImageSet(sets / "fg_mask") as mask_set, ImageSet(sets / "only_bg_t") as background_set:
        masks = load_masks(
            mask_set,
            mask_set.by_id(row.id for row in rows),
            size=size,
            folder=folder / "fg_mask",
            workers=workers,
            label="decode fg_mask",
        )
        background_rows = background_set.split("train")
        backgrounds = load_pixels(
            background_set,
            background_rows,
            size=size,
            folder=folder / "only_bg_t",
            workers=workers,
            label="decode only_bg_t",
        )
    place: Mapping[str, int] = {row.id: index for index, row in enumerate(background_rows)}
    own = np.array([place.get(row.id, -1) for row in rows], np.int64)
    return replace_backgrounds(masks, backgrounds, own, p=p)
