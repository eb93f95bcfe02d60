"""Backgrounds of the photos themselves, with the foreground removed by a filler."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.compose.chunked import make_images
from bgdata.compose.crops import open_crops
from bgdata.compose.fill import Filler, hole_of
from bgdata.compose.foregrounds import Foregrounds, Inputs, check_pools, open_foregrounds
from bgdata.compose.render import COLUMNS, rendered_row
from bgdata.compose.settings import BackgroundsJob, FilledSettings
from bgdata.compose.source_sets import Background, SourceSets, plan_mixed, write_backgrounds, write_mixed
from bgdata.engines.base import Network
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image, decode_mask
from bgdata.parallel import read_ahead
from bgdata.shards import ImageSet, Row

# A photo, and its hole.
Opened = tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]
TOO_LARGE = "foreground_too_large"


@dataclass(frozen=True)
class Filling:
    """What fills holes, `batch` of them in one call: a filler, or one that is a network, which each worker builds."""

    filler: Filler | Network
    batch: int


@dataclass(frozen=True)
class _Photo:
    """A photo by its place among the crops, and whether its foreground is small enough to be removed."""

    position: int
    row: Row
    mask_row: Row
    is_small: bool


def write_filled_sets(
    name: str, job: BackgroundsJob, inputs: Inputs, filling: Filling, *, work: Path, workers: int
) -> dict[str, Any]:
    """Write the sets of a filled source, each into `work/<set>`; returns the manifest of the backgrounds alone.

    A foreground larger than `max_foreground`, or a hole that leaves nothing of its photo, gives no background, and is
    counted. The bytes depend on the sets, the settings, the filler and the seed, not on the workers or the batch; a
    killed run goes on.

    Raises InputError where a class has fewer than two backgrounds.
    """
    settings = job.source
    assert isinstance(settings, FilledSettings), "the other kinds have no filler"
    crop = CentreCrop(job.render.resize, job.render.size)
    found = open_foregrounds(inputs, splits=settings.splits, crop=crop, folder=work / "crops", workers=workers)
    sets = SourceSets(name, work, job.render, job.seed, work / "filled/filled.npy")
    # Before the work as well: a class that is lost need not wait for its holes to be filled.
    reasons = [TOO_LARGE if mask.mean() > settings.max_foreground else None for mask in found.crops.masks]
    _check(name, found, reasons)
    with ImageSet(inputs.masks) as masks:
        mask_rows = masks.by_id(row.id for row in found.rows)
    photos = [
        _Photo(position, found.rows[position], mask_rows[position], reason is None)
        for position, reason in enumerate(reasons)
    ]
    fill = _Fill(inputs, found.folder, crop, settings, filling.batch)
    reasons = make_images(**fill.by(filling.filler), items=photos, path=sets.pixels, side=crop.crop, workers=workers)
    _check(name, found, reasons)
    backgrounds = [
        Background(rendered_row(photo, photo.row.id), photo.position, photo.row.label)
        for photo in (found.planned(position, {}) for position, reason in enumerate(reasons) if reason is None)
    ]
    notes = {"seed": job.seed, "settings": job.model_dump(exclude={"seed"})}
    plan = plan_mixed(found, backgrounds, sets, by_class=True)
    write_mixed(sets, plan, found, notes=notes, missing="", workers=workers)
    rejected = [
        {"id": row.id, "split": row.split, "label": row.label, "reason": reason}
        for row, reason in zip(found.rows, reasons, strict=True)
        if reason
    ]
    return write_backgrounds(
        sets, backgrounds, classes=found.classes, columns=COLUMNS, rejected=rejected, notes=notes, workers=workers
    )


def _check(name: str, found: Foregrounds, reasons: Sequence[str | None]) -> None:
    left = [(row.split, row.label) for row, reason in zip(found.rows, reasons, strict=True) if reason is None]
    lost = Counter((row.split, row.label) for row, reason in zip(found.rows, reasons, strict=True) if reason)

    def advice(split: str, label: int) -> str:
        return (
            f"{lost[split, label]} foregrounds are too large; raise backgrounds.{name}.max_foreground, lower its "
            f"dilate, add photos, or take {split} out of its splits"
        )

    check_pools(found.rows, found.classes, left, least=2, advice=advice)


@dataclass(frozen=True)
class _Fill:
    """Fills the holes of photos, a chunk at a time."""

    inputs: Inputs
    crops: Path
    crop: CentreCrop
    settings: FilledSettings
    batch: int

    def by(self, filler: Filler | Network) -> dict[str, Any]:
        """How `make_images` is told of it."""
        if isinstance(filler, Network):
            return {"make": self, "network": filler}
        return {"make": partial(self, filler)}

    def __call__(
        self, filler: Filler, photos: Sequence[_Photo], pixels: UInt8[np.ndarray, "n c c 3"]
    ) -> list[str | None]:
        """Write the backgrounds into `pixels`; returns the reasons why there are none."""
        reasons: list[str | None] = [TOO_LARGE] * len(photos)
        places = [place for place, photo in enumerate(photos) if photo.is_small]
        batches = [places[start : start + self.batch] for start in range(0, len(places), self.batch)]
        with self._reading(photos) as read:
            for opened in read_ahead(lambda batch: [(place, *read(photos[place])) for place in batch], batches):
                left = [one for one in opened if not one[2].all()]
                if not left:
                    continue
                filled = filler.fill([image for _, image, _ in left], [hole for *_, hole in left])
                for (place, *_), image in zip(left, filled, strict=True):
                    reasons[place] = None
                    pixels[place] = image if self.settings.at == "crop" else self.crop.image(image)
        return reasons

    @contextmanager
    def _reading(self, photos: Sequence[_Photo]) -> Iterator[Callable[[_Photo], Opened]]:
        """How a photo and its hole are read: its crop, or the photo at its own size."""
        if self.settings.at == "crop":
            crops = open_crops(self.crops, [], [])
            yield lambda photo: self._opened(np.asarray(crops.pixels[photo.position]), crops.masks[photo.position])
            return
        rows, mask_rows = [photo.row for photo in photos], [photo.mask_row for photo in photos]
        with ImageSet(self.inputs.photos, rows=rows) as images, ImageSet(self.inputs.masks, rows=mask_rows) as masks:
            yield lambda photo: self._opened(
                decode_image(images.read(photo.row)), decode_mask(masks.read(photo.mask_row))
            )

    def _opened(self, image: np.ndarray, mask: np.ndarray) -> Opened:
        return image, hole_of(np.asarray(mask), self.settings.dilate)
