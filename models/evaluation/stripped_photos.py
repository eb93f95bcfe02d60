"""Photos with their masks, and beside them what sources of backgrounds made of each without its foreground."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bgdata.compose.names import TILED, background_set
from bgdata.geometry import Box, mask_box
from bgdata.pixels import ImageSource, load_pixels
from models.evaluation.accuracy import unique_ids
from models.evaluation.sensitivity import MaskedPhotos, open_masked_photos


@dataclass(frozen=True)
class StrippedPhotos:
    """A choice of photos that all sources have the background of.

    `boxes` are those that the tiles cover (of sets without, the masks' own); `backgrounds` are by source, in the order
    of the photos.
    """

    photos: MaskedPhotos
    wnids: tuple[str, ...]
    boxes: tuple[Box, ...]
    backgrounds: Mapping[str, UInt8[np.ndarray, "n h w 3"]]


def open_stripped_photos(
    sources: Mapping[str, ImageSource],
    names: tuple[str, ...],
    *,
    split: str,
    per_class: int | None,
    seed: int,
    workers: int,
    cache: Path | None = None,
) -> StrippedPhotos | None:
    """A seeded choice of each class's photos that have a mask and a background in every one of the sources `names`;
    None where there is none. `sources` holds `original`, `fg_mask` and those sources' sets of backgrounds.

    Raises InputError where the sets have different lists of classes, or images of different sizes.
    """
    photos = open_masked_photos(sources, split=split, per_class=per_class, seed=seed, workers=workers, cache=cache)
    if photos is None:
        return None
    rows = {name: sources[background_set(name)].split(split) for name in names}
    places = {
        name: {photo: place for place, photo in enumerate(unique_ids(sources[background_set(name)], rows[name]))}
        for name in names
    }
    kept = [place for place, photo in enumerate(photos.ids) if all(photo in there for there in places.values())]
    if not kept:
        return None
    photos = _of(photos, kept)
    backgrounds = {}
    for name in names:
        of_set = background_set(name)
        pixels = load_pixels(
            sources[of_set], rows[name], size=None, folder=cache and cache / of_set, workers=workers, label=of_set
        )
        backgrounds[name] = pixels[[places[name][photo] for photo in photos.ids]]
    tiled = [rows[TILED][places[TILED][photo]] for photo in photos.ids]
    boxes = [
        Box.from_cells(row.extra) or mask_box(np.ascontiguousarray(mask))
        for row, mask in zip(tiled, photos.masks, strict=True)
    ]
    whole = Box(0, 0, photos.images.shape[2], photos.images.shape[1])
    return StrippedPhotos(photos, tuple(row.wnid for row in tiled), tuple(box or whole for box in boxes), backgrounds)


def _of(photos: MaskedPhotos, kept: list[int]) -> MaskedPhotos:
    return replace(
        photos,
        ids=tuple(photos.ids[place] for place in kept),
        labels=photos.labels[kept],
        images=photos.images[kept],
        masks=photos.masks[kept],
    )
