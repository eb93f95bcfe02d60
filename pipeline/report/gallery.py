"""The pictures of the report: the same photos in every variant, a few mixed images with their soft labels, what fools
the classifiers, and the sheets of the segmenters and of the saliency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.randomness import seeded_order
from bgdata.shards import ImageSet, Row
from pipeline.report.adversaries import Adversaries, read_adversaries
from pipeline.report.pictures import data_uri, mask_uri, photo_uri

PICTURES = (*VARIANTS, FG_MASK)
SHOWN = 9  # classes of which a photo is shown
_SPREAD = 5  # mixed images drawn for each one shown, so that the shown ones spread as the set's labels do


@dataclass(frozen=True)
class Picture:
    """One image as a data URI; `background` names the class whose background it has, where it is mixed."""

    name: str
    uri: str
    background: str | None = None


@dataclass(frozen=True)
class ShownPhoto:
    """One photo in all its variants."""

    id: str
    class_name: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class SoftLabelled:
    """One mixed image: `lam` of its label is `first`, the rest `second`."""

    picture: Picture
    first: str
    second: str
    lam: float


@dataclass(frozen=True)
class Gallery:
    """All pictures of the report; `mixed` by method, `sheets` (data URIs) by segmentation set, the rest by recipe."""

    photos: tuple[ShownPhoto, ...]
    mixed: dict[str, tuple[SoftLabelled, ...]]
    sheets: dict[str, str]
    adversaries: dict[str, Adversaries]
    saliency: dict[str, str]


def read_gallery(
    sets: Path,
    *,
    mixed: Sequence[str],
    sheets: Mapping[str, Path],
    fooled: Mapping[str, Mapping[str, Any]],
    saliency: Mapping[str, Path],
    seed: int,
    split: str = "val",
    examples: int = 6,
) -> Gallery:
    """One photo of each class of a split (of more than `SHOWN` classes a choice), drawn by seed, in every variant;
    `examples` images of each mixed set; the segmenters' sheets (JPEG files by set) and those of the saliency (by
    recipe); and what fools the recipes of `fooled` (the challenge's `gallery`).

    Raises InputError where a set is missing or lacks a photo that `original` has, or an image that was judged.
    """
    with ImageSet(sets / VARIANTS[0]) as originals:
        names = originals.classes.names
        ids = choose_photos(originals, seed=seed, split=split)
    shown = {name: _pictures(sets / name, list(ids.values())) for name in PICTURES}
    photos = (
        ShownPhoto(image_id, names[label], tuple(shown[name][image_id] for name in PICTURES))
        for label, image_id in ids.items()
    )
    return Gallery(
        tuple(photos),
        {method: _mixed(sets / method, seed=seed, examples=examples) for method in mixed},
        {name: data_uri("jpeg", path.read_bytes()) for name, path in sheets.items()},
        {recipe: read_adversaries(sets, record) for recipe, record in fooled.items()},
        {recipe: data_uri("jpeg", path.read_bytes()) for recipe, path in saliency.items()},
    )


def choose_photos(originals: ImageSet, *, seed: int, split: str) -> dict[int, str]:
    """The id of one photo of each class that the split has, by label; of more than `SHOWN` classes a seeded choice."""
    by_label: dict[int, list[str]] = {}
    for row in originals.split(split):
        by_label.setdefault(row.label, []).append(row.id)
    labels = sorted(by_label)
    if len(labels) > SHOWN:
        folders = [originals.classes.folders[label] for label in labels]
        labels = sorted(labels[place] for place in seeded_order(seed, folders, "report.classes")[:SHOWN])
    return {label: by_label[label][seeded_order(seed, by_label[label], "report.gallery")[0]] for label in labels}


def _pictures(folder: Path, ids: Sequence[str]) -> dict[str, Picture]:
    with ImageSet(folder) as images:
        names = images.classes.names
        return {row.id: _picture(folder.name, row, images.read(row), names) for row in images.by_id(ids)}


def _picture(name: str, row: Row, data: bytes, names: Sequence[str]) -> Picture:
    background = row.extra.get("background_label")
    uri = mask_uri(data) if name == FG_MASK else photo_uri(data)
    return Picture(name, uri, names[int(background)] if background else None)


def _mixed(folder: Path, *, seed: int, examples: int) -> tuple[SoftLabelled, ...]:
    with ImageSet(folder) as images:
        order = seeded_order(seed, [row.id for row in images.rows], f"report.{folder.name}")
        drawn = sorted((images.rows[position] for position in order[: examples * _SPREAD]), key=_lam)
        return tuple(
            SoftLabelled(
                Picture(row.id, photo_uri(images.read(row))),
                images.classes.names[row.label],
                images.classes.names[int(row.extra["partner_label"])],
                _lam(row),
            )
            for row in drawn[_SPREAD // 2 :: _SPREAD][:examples]
        )


def _lam(row: Row) -> float:
    return float(row.extra["lam"])
