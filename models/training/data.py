"""The images that a recipe is trained on, at rest: decoded once, with soft labels, masks and known backgrounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from bgdata.classes import ClassList
from bgdata.compose.background_classes import UNKNOWN
from bgdata.errors import InputError
from bgdata.pixels import PackedMasks
from bgdata.shards import Row
from models.training.parts import Drawn

# Classes that a sentence names at most.
_LISTED = 20


@dataclass(frozen=True)
class TrainingData:
    """Images at rest, in the order of their rows; masks where a part of the recipe needs them."""

    pixels: UInt8[np.ndarray, "n s s 3"]
    targets: Float32[Tensor, "n k"]
    background_labels: Int64[np.ndarray, " n"]
    masks: PackedMasks | Bool[np.ndarray, "n s s"] | None = None

    @property
    def labels(self) -> Int64[np.ndarray, " n"]:
        """The class of each image; of mixed ones the heavier."""
        return self.targets.argmax(1).numpy()

    def draw(self, indices: Int64[np.ndarray, " b"]) -> Drawn:
        """The images at `indices` as they are."""
        return Drawn(
            indices,
            as_batch(self.pixels[indices]),
            None if self.masks is None else torch.from_numpy(self.masks[indices])[:, None],
            self.targets[torch.from_numpy(indices)].argmax(1),
            torch.from_numpy(self.background_labels[indices]),
        )


@dataclass(frozen=True)
class Backgrounds:
    """The backgrounds of a source (`only_bg_t` ...), at rest.

    `labels` and `ids` are those of their photos, labels being places in `classes` (UNKNOWN: nobody knows the class).
    `own[i]` is where the background of training image i's photo lies (-1: nowhere), which the image never gets.
    `name` is the set's.
    """

    pixels: UInt8[np.ndarray, "m s s 3"]
    labels: Int64[np.ndarray, " m"]
    ids: Sequence[str]
    own: Int64[np.ndarray, " n"]
    classes: ClassList
    name: str = "only_bg_t"


def as_batch(pixels: UInt8[np.ndarray, "b s s 3"]) -> UInt8[Tensor, "b 3 s s"]:
    """Images at rest as a tensor (a view, channels last in memory)."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def at_rest(images: UInt8[Tensor, "b 3 s s"]) -> UInt8[np.ndarray, "b s s 3"]:
    """The inverse of `as_batch`."""
    return images.permute(0, 2, 3, 1).numpy()


def soft_labels(rows: Sequence[Row], count: int) -> Float32[Tensor, "n {count}"]:
    """`lam * onehot(label) + (1 - lam) * onehot(partner_label)` for mixed images, else one-hot; of `count` classes.

    Source: mixup (Zhang et al. 2018), eq. 1.
    """
    targets = torch.zeros(len(rows), count)
    for target, row in zip(targets, rows, strict=True):
        lam = float(row.extra.get("lam") or 1)
        target[row.label] += lam
        if lam < 1:
            target[int(row.extra["partner_label"])] += 1 - lam
    return targets


def background_labels(rows: Sequence[Row]) -> Int64[np.ndarray, " n"]:
    """The class of each image's background: another photo's where one was pasted, else its own."""
    return np.array([_background_label(row) for row in rows], np.int64)


def _background_label(row: Row) -> int:
    if label := row.extra.get("background_label"):
        return int(label)
    is_unknown = "partner_label" in row.extra or row.extra.get("background")
    return UNKNOWN if is_unknown else row.label


def label_of(name: str, classes: ClassList, *, setting: str) -> int:
    """The label of a class that a setting names.

    Raises InputError that names the setting and the classes known.
    """
    if name not in classes.names:
        known = ", ".join(classes.names[:_LISTED]) + (" ..." if len(classes) > _LISTED else "")
        raise InputError(f"{setting} names the class {name!r}, and {classes.name} has {known}: correct it")
    return classes.names.index(name)
