"""The sources of backgrounds as the judge of leaks sees them: how each takes objects away, and what is looked at."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from bgdata.classes import check_same
from bgdata.compose.background_classes import UNKNOWN, class_list_of, labels_of_backgrounds
from bgdata.compose.names import FG_MASK, TILED, background_set
from bgdata.compose.settings import FilledSettings
from bgdata.pixels import ImageSource, load_pixels
from bgdata.shards import Row
from models.classifiers.judged import Judged
from models.evaluation.in9 import accuracy_summary, judge_variants, predict
from models.evaluation.leak import (
    NO_CLASS,
    NO_IMAGES,
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
    """Sources of backgrounds, opened: their sets; `names`, those that took objects away, with what of them is looked at
    and their holes elsewhere; and `objectless`, photos without objects, of which some have a known class.
    """

    sources: Mapping[str, ImageSource]
    names: tuple[str, ...]
    objectless: tuple[str, ...]
    looked: StrippedPhotos | None
    holes: Mapping[str, Holes]

    def of_model(self, model: Judged, *, run: Mapping[str, Any], reading: Mapping[str, Any]) -> dict[str, Any]:
        """By source: the accuracy on backgrounds alone, what that is more than on the tiled, and the holes' leak; of
        photos without objects the accuracy alone, by the class that their index names.
        """
        sets = {background_set(name): self.sources[background_set(name)] for name in self.names}
        judged = judge_variants(model, sets, **run, **reading)
        found = background_leak({name: judged[background_set(name)] for name in self.names}, TILED)
        for name in self.names:
            found[name]["holes"] = hole_leak(model, self.holes[name], **run) if name in self.holes else None
        for name in self.objectless:
            accuracy = _objectless_accuracy(model, self.sources[background_set(name)], run=run, **reading)
            found[name] = {"accuracy": accuracy, "against": None, "holes": None}
        return found


def open_leaks(
    sources: Mapping[str, ImageSource],
    removers: Mapping[str, Remover],
    *,
    further: Collection[str] = (),
    per_class: int | None,
    seed: int,
    reading: Mapping[str, Any],
) -> Leaks:
    """The sources with a remover (`t` among them) that have images of the split, and of the `further` ones without
    those with classes.

    `sources` are sets by name. Without `original` and `fg_mask` among them, or with `per_class` 0, there are no holes,
    and nothing is looked at.
    """
    split = reading["split"]
    names = tuple(name for name in removers if _images(sources, name, split))
    objectless = tuple(name for name in further if name not in removers and _knows_classes(sources, name, split))
    looked = None
    if per_class != 0 and not {"original", FG_MASK} - sources.keys():
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
    return Leaks(sources, names, objectless, looked, holes)


def _images(sources: Mapping[str, ImageSource], name: str, split: str) -> list[Row]:
    of_set = sources.get(background_set(name))
    return [] if of_set is None else of_set.split(split)


def _knows_classes(sources: Mapping[str, ImageSource], name: str, split: str) -> bool:
    rows = _images(sources, name, split)
    return bool(rows) and bool((labels_of_backgrounds(sources[background_set(name)], rows) != UNKNOWN).any())


def _objectless_accuracy(
    model: Judged,
    images: ImageSource,
    *,
    run: Mapping[str, Any],
    split: str,
    workers: int,
    cache: Path | None = None,
) -> dict[str, Any]:
    """How often a classifier names the class that a place is known by, of the photos where it is."""
    check_same({"the model": model.labels, str(images.folder): class_list_of(images)})
    rows, name = images.split(split), images.folder.name
    labels = labels_of_backgrounds(images, rows)
    pixels = load_pixels(images, rows, size=None, folder=cache and cache / name, workers=workers, label=name)
    model.to(run["device"]).eval()
    predicted, _, _ = predict(model, pixels, device=run["device"], batch=run["eval_batch"])
    known = labels != UNKNOWN
    return accuracy_summary(predicted[known] == labels[known])


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
        share, images = None, _images(leaks.sources, name, split)
        if name in found and leaks.looked is not None:
            share = found_share(found[name], leaks.looked.photos.masks)
        described[name] = {
            "kind": each["kind"],
            "method": each.get("method"),
            "images": len(images),
            "found": share,
            "why": None if name in (*leaks.names, *leaks.objectless) else NO_CLASS if images else NO_IMAGES,
        }
    return described
