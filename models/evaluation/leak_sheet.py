"""A few photos beside what each source made of their backgrounds, and what was still found there."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from bgdata.compose.names import background_set
from bgdata.sheets.sheet import Cell, PlainCell, SheetCell, SheetRow, draw_sheet
from models.evaluation.leak import Holes
from models.evaluation.stripped_photos import StrippedPhotos

# A photo of each class, up to so many rows.
_ROWS = 6


def leak_sheet(
    looked: StrippedPhotos,
    holes: Mapping[str, Holes],
    found: Mapping[str, Sequence[Bool[np.ndarray, "h w"] | None]],
) -> bytes:
    """A JPEG: a row a photo; for each source its background with what the segmenter found (orange) of the object
    (outlined), and the hole of the object in another photo's background.
    """
    photos = looked.photos
    _, first = np.unique(photos.labels, return_index=True)
    rows = [_row(looked, place, holes, found) for place in sorted(first.tolist())[:_ROWS]]
    columns = ["original"]
    for source in looked.backgrounds:
        columns += [background_set(source), "its hole elsewhere"]
    return draw_sheet(rows, title="what backgrounds give away", columns=columns)


def _row(
    looked: StrippedPhotos,
    place: int,
    holes: Mapping[str, Holes],
    found: Mapping[str, Sequence[Bool[np.ndarray, "h w"] | None]],
) -> SheetRow:
    photos, names = looked.photos, looked.photos.class_list.names
    mask, name = photos.masks[place], names[photos.labels[place]]
    cells: list[Cell] = [PlainCell(photos.images[place], (name,))]
    for source, backgrounds in looked.backgrounds.items():
        one = found[source][place] if source in found else None
        share = "" if one is None else f"{100 * (one & mask).sum() / mask.sum():.0f} % found"
        cells.append(SheetCell(backgrounds[place], mask, one, (share,)))
        cells.append(PlainCell(holes[source].after[place], (f"hole of {name}",)))
    return SheetRow(photos.ids[place], tuple(cells))
