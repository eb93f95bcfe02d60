"""One photo under every corruption that was run, as a picture sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.compose.names import FG_MASK
from bgdata.corrupt.corruptions import Corruption, corrupt_image
from bgdata.io import decode_image, decode_mask
from bgdata.randomness import seeded_order
from bgdata.shards import MANIFEST, ImageSet
from bgdata.sheets.sheet import PlainCell, SheetRow, draw_sheet
from pipeline.report.corruptions import CorruptionScores
from pipeline.report.pictures import data_uri
from pipeline.report.words import CORRUPTION_KINDS

_SIDE, _QUALITY = 96, 72  # pixels, and of JPEG: a sheet of all corruptions at all severities stays below 300 KB
_ACROSS = 10  # corrupted pictures in a row
_PHOTOS = "original"


@dataclass(frozen=True)
class _Example:
    """The photo that is shown, and where its corrupted ones may lie stored."""

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    stored: Path
    seed: int

    def under(self, corruption: Corruption) -> UInt8[np.ndarray, "h w 3"]:
        """As it was judged: the stored one, else made again."""
        folder = self.stored / corruption.folder
        if not (folder / MANIFEST).is_file():
            return corrupt_image(self.image, corruption, seed=self.seed, image_id=self.id, mask=self.mask)
        with ImageSet(folder) as images:
            return decode_image(images.read(*images.by_id([self.id])))


def corruption_strip(sets: Path, stored: Path, found: CorruptionScores) -> str | None:
    """A photo of the sets, drawn by the seed, clean and under each corruption at each severity that was run: a sheet
    as a data URI, rows by kind of corruption.

    `stored` holds the corrupted sets, where they are stored. None for published files, which are of other photos.

    Raises InputError where a set is missing or lacks the photo.
    """
    if found.source != "ours":
        return None
    example = _read_example(sets, stored, found)
    rows = list(_rows(example, found))
    columns = ["clean", *[""] * (max(len(row.cells) for row in rows) - 1)]
    region = "" if (part := found.shown_regions[0]) == "whole" else f", on the {part} alone"
    title = f"{example.id} at severities {', '.join(sorted({severity for _, _, severity in found.cells()}))}{region}"
    return data_uri("jpeg", draw_sheet(rows, title=title, columns=columns, legend={}, side=_SIDE, quality=_QUALITY))


def _rows(example: _Example, found: CorruptionScores) -> Iterator[SheetRow]:
    """Whole corruptions in each row, behind the clean photo; a row holds one kind."""
    region = found.shown_regions[0]
    run = found.regions[region].run
    clean = PlainCell(example.image, ())
    for kind, names in CORRUPTION_KINDS.items():
        blocks = [[Corruption(name, int(severity), region) for severity in run[name]] for name in names if name in run]
        for row in _packed(blocks):
            cells = [PlainCell(example.under(corruption), _caption(corruption)) for corruption in row]
            yield SheetRow(kind, (clean, *cells))


def _packed(blocks: Sequence[Sequence[Corruption]]) -> Iterator[list[Corruption]]:
    row: list[Corruption] = []
    for block in blocks:
        if row and len(row) + len(block) > _ACROSS:
            yield row
            row = []
        row += block
    if row:
        yield row


def _caption(corruption: Corruption) -> tuple[str, ...]:
    """Two short lines: `gaussian`, `noise 3`."""
    *first, last = corruption.name.split("_")
    return (*first, f"{last} {corruption.severity}")


def _read_example(sets: Path, stored: Path, found: CorruptionScores) -> _Example:
    seed = int(found.data_record.get("seed", 0))
    with ImageSet(sets / _PHOTOS) as photos, ImageSet(sets / FG_MASK) as masks:
        rows = photos.split(found.split)
        row = rows[seeded_order(seed, [row.id for row in rows], "report.corruptions")[0]]
        image, mask = decode_image(photos.read(row)), decode_mask(masks.read(*masks.by_id([row.id])))
    return _Example(row.id, image, mask, stored, seed)
