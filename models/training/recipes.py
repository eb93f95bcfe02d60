"""A recipe: the parts that its settings name, put together before the loop."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8
from torch import nn

from bgdata.classes import ClassList, check_same
from bgdata.compose.background_classes import class_list_of
from bgdata.compose.names import background_set
from bgdata.pixels import load_packed_masks, load_pixels
from bgdata.shards import ImageSet
from models.evaluation.accuracy import labels_of
from models.training.augmentations import open_augment
from models.training.averaging import build_averaging
from models.training.data import TrainingData, background_labels, soft_labels
from models.training.mixers import open_mixer
from models.training.objectives import Objective, build_objective
from models.training.orders import Order, balanced, shuffled
from models.training.parts import Augment, Averaging, Mixer, Part, Treatment
from models.training.run import Stored
from models.training.settings import LoopSettings, RecipeSettings, reads_backgrounds
from models.training.treatments import open_treatment


@dataclass(frozen=True)
class Recipe:
    """What the loop runs: the data, and what is done to it."""

    data: TrainingData
    order: Order
    treat: Treatment
    mixer: Mixer | None
    objective: Objective
    averaging: Averaging
    augment: Augment | None = None
    backbone_lr: float = 1.0

    @property
    def members(self) -> tuple[Part, ...]:
        """Those that may remember something from step to step."""
        return self.treat, self.objective, self.averaging

    @property
    def parts(self) -> nn.ModuleList:
        """The members as one module, to move and to save."""
        return nn.ModuleList(self.members)


def sets_read(recipe: RecipeSettings) -> list[str]:
    """The sets that a recipe reads, `original` for its validation among them."""
    needed = {"fg_mask": _needs_masks(recipe), background_set(recipe.background_from): reads_backgrounds(recipe)}
    return sorted({"original", recipe.data} | {name for name, is_read in needed.items() if is_read})


def class_lists(recipe: RecipeSettings, stored: Stored) -> dict[str, ClassList]:
    """The list of classes of each set that a recipe reads, by the set's folder.

    Raises InputError where a set is not there.
    """
    lists = {}
    for name in sets_read(recipe):
        with ImageSet(stored.sets / name, rows=()) as images:
            lists[str(images.folder)] = class_list_of(images)
    return lists


def open_recipe(recipe: RecipeSettings, settings: LoopSettings, stored: Stored, *, seed: int) -> Recipe:
    """The parts of a recipe over its data, decoded at `settings.size` pixels.

    Raises InputError where a set is not there or lacks a photo's mask, where the sets differ in their classes, or the
    recipe names one that they lack.
    """
    classes = check_same(class_lists(recipe, stored))
    data = _open_data(recipe, stored, classes=classes, size=settings.size)
    return Recipe(
        data,
        balanced(data) if recipe.balance == "groups" else shuffled(data),
        open_treatment(recipe, stored, classes=classes, labels=data.labels, size=settings.size, seed=seed),
        open_mixer(recipe.mixer),
        build_objective(recipe, settings, classes=len(classes)),
        build_averaging(recipe.averaging),
        augment=open_augment(recipe.augment),
        backbone_lr=recipe.backbone_lr,
    )


def open_validation(stored: Stored, *, size: int) -> tuple[UInt8[np.ndarray, "n s s 3"], Int64[np.ndarray, " n"]]:
    """The val images of `original` and their labels: what every recipe is validated on."""
    with ImageSet(stored.sets / "original") as images:
        rows = images.split("val")
        return load_pixels(images, rows, size=size, label="decode val", **stored.decoding("val")), labels_of(rows)


def _needs_masks(recipe: RecipeSettings) -> bool:
    return any((recipe.background, recipe.penalty, recipe.consistency, recipe.flow))


def _open_data(recipe: RecipeSettings, stored: Stored, *, classes: ClassList, size: int) -> TrainingData:
    with ImageSet(stored.sets / recipe.data) as images:
        rows = images.split("train")
        pixels = load_pixels(images, rows, size=size, label=f"decode {recipe.data}", **stored.decoding(recipe.data))
    masks = None
    if _needs_masks(recipe):
        with ImageSet(stored.sets / "fg_mask") as mask_set:
            masks = load_packed_masks(
                mask_set,
                mask_set.by_id(row.id for row in rows),
                size=size,
                label="decode fg_mask",
                **stored.decoding("fg_mask"),
            )
    return TrainingData(pixels, soft_labels(rows, len(classes)), background_labels(rows), masks)
