"""What a recipe's settings say about backgrounds, opened over the sets."""

import numpy as np
from jaxtyping import Int64

from bgdata.classes import ClassList
from bgdata.compose.background_classes import class_list_of, labels_of_backgrounds
from bgdata.compose.names import background_set
from bgdata.pixels import load_pixels
from bgdata.shards import ImageSet
from models.training.backgrounds import Blur, Change, Looks, Replacement, Twins
from models.training.chances import AdaptiveChance, fixed_chance
from models.training.choices import BatchMates, Choice, FewPhotos, OtherPhotos
from models.training.data import Backgrounds
from models.training.parts import Treatment
from models.training.run import Stored
from models.training.settings import BackgroundSettings, RecipeSettings, reads_backgrounds


def open_treatment(
    recipe: RecipeSettings,
    stored: Stored,
    *,
    classes: ClassList,
    labels: Int64[np.ndarray, " n"],
    size: int,
    seed: int,
) -> Treatment:
    """The treatment of the backgrounds of images with these labels; with twins for the parts that compare.

    Raises InputError where a set is not there or lacks the backgrounds that the recipe asks for, or the recipe names
    a class that is none of `classes`.
    """
    with ImageSet(stored.sets / recipe.data) as images:
        ids = [row.id for row in images.split("train")]
    backgrounds = None
    if reads_backgrounds(recipe):
        backgrounds = _open_backgrounds(recipe.background_from, stored, ids, size=size)
    treat = Treatment()
    if recipe.background is not None:
        treat = _open_change(recipe.background, backgrounds, ids, labels, classes=classes, seed=seed)
    if recipe.consistency is None and recipe.flow is None:
        return treat
    assert backgrounds is not None, "all others read them"
    choose = OtherPhotos(backgrounds, "any_class", image_labels=labels)
    return Twins(treat, Replacement(backgrounds, choose, fixed_chance(1.0, classes=classes)))


def _open_change(
    settings: BackgroundSettings,
    backgrounds: Backgrounds | None,
    ids: list[str],
    labels: Int64[np.ndarray, " n"],
    *,
    classes: ClassList,
    seed: int,
) -> Change:
    by, p = settings.by, settings.p
    assert p != "train.p", "the config stage puts a number there"
    if by == "blur" and p != "adaptive":
        return Blur(fixed_chance(p, classes=classes))
    assert backgrounds is not None, "all others read them"
    chance = AdaptiveChance(backgrounds, seed=seed) if p == "adaptive" else fixed_chance(p, classes=classes)
    if by == "blur":
        return Blur(chance)
    choose: Choice = BatchMates(backgrounds) if by == "batch" else OtherPhotos(backgrounds, by, image_labels=labels)
    if settings.choices is not None:
        choose = FewPhotos(choose, ids, image_labels=labels, count=settings.choices, seed=seed)
    return Replacement(backgrounds, choose, chance, Looks(settings.placement, settings.feather))


def _open_backgrounds(source: str, stored: Stored, ids: list[str], *, size: int) -> Backgrounds:
    name = background_set(source)
    with ImageSet(stored.sets / name) as images:
        rows = images.split("train")
        pixels = load_pixels(images, rows, size=size, label=f"decode {name}", **stored.decoding(name))
        labels, classes = labels_of_backgrounds(images, rows), class_list_of(images)
    place = {row.id: index for index, row in enumerate(rows)}
    own = np.array([place.get(photo, -1) for photo in ids], np.int64)
    return Backgrounds(pixels, labels, [row.id for row in rows], own, classes, name)
