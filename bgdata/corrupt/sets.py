"""Sets of corrupted photos: each (region, corruption, severity) a set of its own, written once for all models."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from numpy import ndarray

from bgdata.classes import ClassList
from bgdata.corrupt.corruptions import Corruption, confine, corrupt_image
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg, encode_png
from bgdata.parallel import run_tasks
from bgdata.pixels import ImageSource
from bgdata.shards import (
    MANIFEST,
    ImageSet,
    Row,
    ShardWriter,
    finish_set,
    shard_is_written,
    shard_name,
    write_text_whole,
)

SPLIT = "val"
# What a result and a manifest say of where the images come from.
OURS = "ours"


@dataclass(frozen=True)
class CorruptedSets:
    """What corrupted sets are made from, and how.

    `originals` and `masks` are folders of sets; the masks are read where a region needs them.
    """

    originals: Path
    masks: Path
    settings: CorruptionSettings
    seed: int
    images_per_shard: int

    def write(self, work: Path, *, workers: int) -> dict[str, Any]:
        """Write the val photos under each corruption into the set `work/<region>/<corruption>/<severity>`, and last
        `work/manifest.json`, which says what the folder holds; returns it. With `settings.store` false it holds
        nothing else: whoever reads it makes the images.

        The bytes depend on the sets, the settings and the seed, not on the workers; goes on after a kill.

        Raises InputError where there is no val photo, or a region needs masks and a photo has none.
        """
        with ImageSet(self.originals) as images:
            rows, classes, made_of = images.split(SPLIT), images.classes, {"originals": source_digest(images)}
        if not rows:
            raise InputError(f"{self.originals} has no {SPLIT} photo to corrupt: render the set with some")
        mask_rows: Sequence[Row | None] = [None] * len(rows)
        if self.settings.need_masks:
            with self._open_masks() as masks:
                mask_rows, made_of["masks"] = masks.by_id(row.id for row in rows), source_digest(masks)
        notes = {"seed": self.seed, "jpeg_quality": self.settings.jpeg_quality, **made_of}
        sets: dict[str, str] = {}
        if self.settings.store:
            self._write_shards(list(zip(rows, mask_rows, strict=True)), work, workers=workers)
            sets = {one.folder: _finish(work / one.folder, one, classes, notes) for one in self.settings.corruptions()}
        work.mkdir(parents=True, exist_ok=True)
        manifest = {
            "source": OURS,
            "stored": self.settings.store,
            "settings": self.settings.model_dump(),
            **notes,
            "classes": classes.to_record(),
            "images": len(rows),
            "sets": sets,
        }
        write_text_whole(work / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        return manifest

    def _open_masks(self) -> ImageSet:
        if not (self.masks / MANIFEST).is_file():
            regions = " and ".join(region for region in self.settings.regions if region != "whole")
            raise InputError(
                f"{self.masks} holds no masks, which the regions {regions} need: run the render stage first, or leave "
                "corruptions.regions at whole"
            )
        return ImageSet(self.masks)

    def _write_shards(self, photos: Sequence[tuple[Row, Row | None]], work: Path, *, workers: int) -> None:
        tasks = []
        for name in self.settings.names:
            for severity in self.settings.severities:
                cells = [Corruption(name, severity, region) for region in self.settings.regions]
                for number, start in enumerate(range(0, len(photos), self.images_per_shard)):
                    shard = shard_name(SPLIT, number)
                    if not all(shard_is_written(work / cell.folder, shard) for cell in cells):
                        tasks.append((self, cells, photos[start : start + self.images_per_shard], work, shard))
        total = sum(len(cells) * len(part) for _, cells, part, *_ in tasks)
        run_tasks(_write_shard, tasks, workers=workers, total=total, label="corrupt", unit="img")


def source_digest(images: ImageSource) -> str:
    """What a set holds, in 16 hexadecimal digits: of its manifest, which has the hashes of its shards and index."""
    return hashlib.sha256(json.dumps(images.manifest, sort_keys=True).encode()).hexdigest()[:16]


def encode_corrupted(image: UInt8[ndarray, "h w 3"], jpeg_quality: int | None) -> bytes:
    """A corrupted image as its file: JPEG, or PNG where no quality is given."""
    return encode_png(image) if jpeg_quality is None else encode_jpeg(image, jpeg_quality)


def _write_shard(
    sets: CorruptedSets, cells: Sequence[Corruption], photos: Sequence[tuple[Row, Row | None]], work: Path, shard: str
) -> int:
    """One shard of one corruption in all its regions: a photo is corrupted once."""
    quality = sets.settings.jpeg_quality
    ending = "png" if quality is None else "JPEG"
    with ExitStack() as stack:
        images = stack.enter_context(ImageSet(sets.originals, rows=[row for row, _ in photos]))
        masks = stack.enter_context(ImageSet(sets.masks, rows=())) if sets.settings.need_masks else None
        writers = [(cell, stack.enter_context(ShardWriter(work / cell.folder, shard))) for cell in cells]
        for row, mask_row in photos:
            try:
                image = decode_image(images.read(row), as_stored=True)
                mask = decode_mask(masks.read(mask_row)) if masks and mask_row else None
                whole = Corruption(cells[0].name, cells[0].severity)
                corrupted = corrupt_image(image, whole, seed=sets.seed, image_id=row.id)
                made = Row(row.id, row.split, row.label, row.wnid, row.name_beside(row.stem, ending))
                for cell, writer in writers:
                    writer.add(made, encode_corrupted(confine(corrupted, image, cell.region, mask), quality))
            except InputError as error:
                raise InputError(f"photo {row.id} of {sets.originals} or its mask: {error}") from None
    return len(cells) * len(photos)


def _finish(folder: Path, cell: Corruption, classes: ClassList, notes: dict[str, Any]) -> str:
    """Finish a set; returns the SHA-256 of its manifest."""
    said = {"corruption": cell.name, "severity": cell.severity, "region": cell.region}
    finish_set(folder, classes=classes, notes=said | notes)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
