"""Photos that can be put on each other's backgrounds: what the flow's samples are held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8

from bgdata.classes import ClassList, check_same
from bgdata.compose.background_classes import class_list_of
from bgdata.compose.names import TILED, background_set
from bgdata.compose.paste import paste_foreground
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_masks, load_pixels
from bgdata.randomness import image_generator
from bgdata.shards import Row
from models.evaluation.accuracy import labels_of
from models.training.data import as_batch


def sets_read(background_from: str) -> tuple[str, ...]:
    """The sets that are read where the backgrounds come from a source."""
    return ("original", "fg_mask", background_set(background_from))


@dataclass(frozen=True)
class Swaps:
    """Photos of a split with their masks, and all backgrounds; `own[i]` is photo i's own background (-1: none)."""

    ids: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    photos: UInt8[np.ndarray, "n s s 3"]
    masks: Bool[np.ndarray, "n s s"]
    backgrounds: UInt8[np.ndarray, "m s s 3"]
    own: Int64[np.ndarray, " n"]
    classes: ClassList

    def draw(self, place: int, count: int, *, seed: int) -> Int64[np.ndarray, " c"]:
        """`count` random backgrounds for the photo at `place`, never its own, by (seed, id): more continue fewer."""
        others = np.delete(np.arange(len(self.backgrounds)), self.own[place] if self.own[place] >= 0 else [])
        return image_generator(seed, self.ids[place], "flow").choice(others, count)

    def paste(
        self, places: Int64[np.ndarray, " c"], backgrounds: Int64[np.ndarray, " c"]
    ) -> UInt8[np.ndarray, "c s s 3"]:
        """The photos at `places` on these backgrounds."""
        masks = torch.from_numpy(self.masks[places])[:, None]
        pasted = paste_foreground(as_batch(self.backgrounds[backgrounds]), as_batch(self.photos[places]), masks)
        return pasted.permute(0, 2, 3, 1).contiguous().numpy()

    def swapped(self, *, seed: int) -> UInt8[np.ndarray, "n s s 3"]:
        """Each photo on one random other's background."""
        places = np.arange(len(self.ids))
        return self.paste(places, np.concatenate([self.draw(place, 1, seed=seed) for place in range(len(self.ids))]))


def open_swaps(
    sources: Mapping[str, ImageSource],
    *,
    split: str,
    size: int,
    most: int | None,
    folder: Path | None,
    workers: int,
    background_from: str = TILED,
) -> Swaps:
    """The photos of a split that have a mask, and the backgrounds of a source, decoded at `size` pixels.

    Of each every k-th, so that there are no more than `most` (None: all). In memory, or mapped from `folder`.

    Raises InputError where there are fewer than two photos or backgrounds, or the sets differ in their classes.
    """
    names = sets_read(background_from)
    originals, masks, behind = (sources[name] for name in names)
    classes = check_same({str(source.folder): class_list_of(source) for source in (originals, masks, behind)})
    masked = {row.id for row in masks.split(split)}
    rows = _thinned([row for row in originals.split(split) if row.id in masked], most)
    background_rows = _thinned(behind.split(split), most)
    if min(len(rows), len(background_rows)) < 2:
        raise InputError(f"a flow is measured on at least two photos of {split} with masks: raise render.per_class")
    loading: dict[str, Any] = {"size": size, "workers": workers}

    def place(name: str) -> dict[str, Any]:
        return loading | {"folder": folder and folder / f"{split}-{name}", "label": f"decode {split} {name}"}

    index = {row.id: number for number, row in enumerate(background_rows)}
    return Swaps(
        tuple(row.id for row in rows),
        labels_of(rows),
        load_pixels(originals, rows, **place("original")),
        load_masks(masks, masks.by_id(row.id for row in rows), **place("fg_mask")),
        load_pixels(behind, background_rows, **place(names[-1])),
        np.array([index.get(row.id, -1) for row in rows], np.int64),
        classes,
    )


def _thinned(rows: list[Row], most: int | None) -> list[Row]:
    return rows if most is None else rows[:: -(-len(rows) // most)]
