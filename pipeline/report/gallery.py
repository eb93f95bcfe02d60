"""The pictures of the report: the same photos in every variant, a few mixed images with their soft labels, what fools
the classifiers, and the sheets of the segmenters and of the saliency.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.compose.variants import FG_MASK, VARIANTS
from bgdata.labels import CLASS_COUNT, CLASS_NAMES
from bgdata.randomness import seeded_order
from bgdata.shards import ImageSet, Row
from pipeline.report.adversaries import Adversaries, read_adversaries
from pipeline.report.pictures import data_uri, mask_uri, photo_uri

PICTURES = (*VARIANTS, FG_MASK)
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
    """One photo of each class of a split, drawn by seed, in every variant; `examples` images of each mixed set; the
    segmenters' sheets (JPEG files by set) and those of the saliency (by recipe); and what fools the recipes of `fooled`
    (the challenge's `gallery`).

    Raises InputError where a set is missing or lacks a photo that `original` has, or an image that was judged.
    """
    ids = choose_photos(sets / VARIANTS[0], seed=seed, split=split)
    shown = {name: _pictures(sets / name, list(ids.values())) for name in PICTURES}
    photos = (
        ShownPhoto(image_id, CLASS_NAMES[label], tuple(shown[name][image_id] for name in PICTURES))
        for label, image_id in ids.items()
    )
    return Gallery(
        tuple(photos),
        {method: _mixed(sets / method, seed=seed, examples=examples) for method in mixed},
        {name: data_uri("jpeg", path.read_bytes()) for name, path in sheets.items()},
        {recipe: read_adversaries(sets, record) for recipe, record in fooled.items()},
        {recipe: data_uri("jpeg", path.read_bytes()) for recipe, path in saliency.items()},
    )


def choose_photos(originals: Path, *, seed: int, split: str) -> dict[int, str]:
    """The id of one photo of each class that the split has, by label."""
    with ImageSet(originals) as images:
        rows = images.split(split)
    by_label = {label: [row.id for row in rows if row.label == label] for label in range(CLASS_COUNT)}
    return {label: ids[seeded_order(seed, ids, "report.gallery")[0]] for label, ids in by_label.items() if ids}


def _pictures(folder: Path, ids: Sequence[str]) -> dict[str, Picture]:
    with ImageSet(folder) as images:
        return {row.id: _picture(folder.name, row, images.read(row)) for row in images.by_id(ids)}


def _picture(name: str, row: Row, data: bytes) -> Picture:
    background = row.extra.get("background_label")
    uri = mask_uri(data) if name == FG_MASK else photo_uri(data)
    return Picture(name, uri, CLASS_NAMES[int(background)] if background else None)


def _mixed(folder: Path, *, seed: int, examples: int) -> tuple[SoftLabelled, ...]:
    with ImageSet(folder) as images:
        order = seeded_order(seed, [row.id for row in images.rows], f"report.{folder.name}")
        drawn = sorted((images.rows[position] for position in order[: examples * _SPREAD]), key=_lam)
        return tuple(
            SoftLabelled(
                Picture(row.id, photo_uri(images.read(row))),
                CLASS_NAMES[row.label],
                CLASS_NAMES[int(row.extra["partner_label"])],
                _lam(row),
            )
            for row in drawn[_SPREAD // 2 :: _SPREAD][:examples]
        )


def _lam(row: Row) -> float:
    return float(row.extra["lam"])
