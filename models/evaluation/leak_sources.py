"""The sources of backgrounds as the judge of leaks sees them: how each takes objects away, and what is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from bgdata.compose.names import FG_MASK, TILED, background_set
from bgdata.compose.settings import FilledSettings
from bgdata.pixels import ImageSource
from models.classifiers.judged import Judged
from models.evaluation.in9 import judge_variants
from models.evaluation.leak import (
    NO_IMAGES,
    NO_OBJECT,
    Filled,
    Holes,
    Remover,
    Tiles,
    background_leak,
    hole_leak,
    make_holes,
)
from models.evaluation.leak_found import find_objects, found_share
from models.evaluation.stripped_photos import StrippedPhotos, open_stripped_photos
from models.inpainting.factory import load_filler
from models.segmenters.base import Photo, Segmenter
from models.segmenters.run import prompt_of
from models.segmenters.settings import SegmentJob

Found = Sequence[Bool[np.ndarray, "h w"] | None]


@dataclass(frozen=True)
class Leaks:
    """Sources that took objects away, opened: their sets, what of them is looked at, and their holes elsewhere."""

    sources: Mapping[str, ImageSource]
    names: tuple[str, ...]
    looked: StrippedPhotos | None
    holes: Mapping[str, Holes]

    def of_model(self, model: Judged, *, run: Mapping[str, Any], reading: Mapping[str, Any]) -> dict[str, Any]:
        """By source: the accuracy on backgrounds alone, what that is more than on the tiled, and the holes' leak."""
        sets = {background_set(name): self.sources[background_set(name)] for name in self.names}
        judged = judge_variants(model, sets, **run, **reading)
        found = background_leak({name: judged[background_set(name)] for name in self.names}, TILED)
        for name in self.names:
            found[name]["holes"] = hole_leak(model, self.holes[name], **run) if name in self.holes else None
        return found


def open_leaks(
    sources: Mapping[str, ImageSource],
    removers: Mapping[str, Remover],
    *,
    per_class: int | None,
    seed: int,
    reading: Mapping[str, Any],
) -> Leaks:
    """The sources with a remover (`t` among them) that have images of the split; `sources` are sets by name."""
    names = tuple(name for name in removers if sources[background_set(name)].split(reading["split"]))
    looked = None
    if FG_MASK in sources:
        looked = open_stripped_photos(sources, names, per_class=per_class, seed=seed, **reading)
    holes = {}
    if looked is not None:
        photos = looked.photos
        for name in names:
            holes[name] = make_holes(
                looked.backgrounds[name],
                photos.masks,
                looked.boxes,
                photos.ids,
                photos.labels,
                removers[name],
                classes=photos.class_list,
                seed=seed,
            )
    return Leaks(sources, names, looked, holes)


def removers_of(settings: Mapping[str, Any], *, weights: Path, device: str) -> dict[str, Remover]:
    """How each source of the settings takes foregrounds away; those that hold no objects are left out."""
    removers: dict[str, Remover] = {TILED: Tiles()}
    for name, each in settings.items():
        if each["kind"] == "filled":
            filled = FilledSettings.model_validate(each)
            removers[name] = Filled(load_filler(filled, weights=weights, device=device), filled.dilate)
    return removers


def look_for_objects(segmenter: Segmenter, leaks: Leaks, job: SegmentJob) -> dict[str, Found]:
    """What a segmenter finds in the originals (`original`) and in each source's backgrounds."""
    if leaks.looked is None:
        return {}
    looked, photos = leaks.looked, leaks.looked.photos
    unasked = [
        Photo(photo, int(label), wnid, image, box)
        for photo, label, wnid, image, box in zip(
            photos.ids, photos.labels, looked.wnids, photos.images, looked.boxes, strict=True
        )
    ]
    asked = [replace(photo, prompt=prompt_of(photo, photos.class_list, job)) for photo in unasked]
    shown = {"original": photos.images, **looked.backgrounds}
    return {
        name: find_objects(segmenter, images, asked, looked.boxes, label=f"{segmenter.name} on {name}")
        for name, images in shown.items()
    }


def describe_sources(
    settings: Mapping[str, Any], leaks: Leaks, found: Mapping[str, Found], split: str
) -> dict[str, Any]:
    """What each source is, and how much of the objects is found in it."""
    tiled: dict[str, Any] = {"kind": "tiled"}
    described = {}
    for name, each in ({TILED: tiled} | dict(settings)).items():
        of_set = leaks.sources.get(background_set(name))
        share = None
        if name in found and leaks.looked is not None:
            share = found_share(found[name], leaks.looked.photos.masks)
        described[name] = {
            "kind": each["kind"],
            "method": each.get("method"),
            "images": 0 if of_set is None else len(of_set.split(split)),
            "found": share,
            "why": None if name in leaks.names else NO_OBJECT if each["kind"] == "external" else NO_IMAGES,
        }
    return described
