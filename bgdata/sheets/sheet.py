"""A sheet of pictures with captions, and its first kind: photos with the true outline and a method's mask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.io import encode_jpeg

_CELL = 220
_GAP = 8
_LINE = 18
_CAPTION = 2 * _LINE + _GAP
_INK, _PAPER = (25, 25, 25), (255, 255, 255)
# Okabe and Ito's blue and orange: told apart by all common kinds of colour vision, and in grey.
_TRUTH, _FOUND = (0, 114, 178), (230, 159, 0)
Colour = tuple[int, int, int]
SEGMENTATION: Mapping[str, Colour] = {"truth": _TRUTH, "found": _FOUND}
SALIENCY: Mapping[str, Colour] = {"foreground": _TRUTH, "attribution": _FOUND}
_OPACITY = 0.5
_QUALITY = 85


@runtime_checkable
class Cell(Protocol):
    """One picture with up to two lines of caption."""

    @property
    def caption(self) -> tuple[str, ...]:
        """The lines below the picture."""
        ...

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, its longer side `side` pixels."""
        ...


@dataclass(frozen=True)
class SheetCell:
    """One photo: RGB, its true mask, what was found (None: nothing), and up to two lines of caption."""

    image: UInt8[np.ndarray, "h w 3"]
    truth: Bool[np.ndarray, "h w"]
    found: Bool[np.ndarray, "h w"] | None
    caption: tuple[str, ...]

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """Pale, what was found in orange, the truth's outline in blue; the longer side `side` pixels."""
        image = pale(scaled_image(self.image, side), 0.6)
        if self.found is not None:
            found = _resized(self.found, (image.shape[1], image.shape[0]))
            image[found] = (image[found] * (1 - _OPACITY) + np.asarray(_FOUND) * _OPACITY).round().astype(np.uint8)
        draw_outline(image, self.truth)
        return image


@dataclass(frozen=True)
class PlainCell:
    """An image as it is."""

    image: UInt8[np.ndarray, "h w 3"]
    caption: tuple[str, ...]

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, its longer side `side` pixels."""
        return scaled_image(self.image, side)


@dataclass(frozen=True)
class SheetRow:
    """Pictures that belong together, a column each."""

    title: str
    cells: tuple[Cell, ...]


def draw_sheet(
    rows: Sequence[SheetRow],
    *,
    title: str,
    columns: Sequence[str],
    legend: Mapping[str, Colour] = SEGMENTATION,
    side: int = _CELL,
    quality: int = _QUALITY,
) -> bytes:
    """Draw the rows under the columns' names, each picture's longer side `side` pixels, as a JPEG of that quality;
    the same cells give the same bytes.
    """
    width = _left(len(columns), side)
    head = _head(title, columns, width, legend, side)
    return encode_jpeg(np.concatenate([head, *(_band(row, width, side) for row in rows)]), quality)


def scaled_image(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """An image whose longer side is `side` pixels."""
    scale = side / max(image.shape[:2])
    height, width = (max(round(edge * scale), 1) for edge in image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=way))


def pale(image: UInt8[np.ndarray, "h w 3"], share: float) -> UInt8[np.ndarray, "h w 3"]:
    """Nearer to grey by a share: an orange mask shows on an orange object too."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, 1 - share, grey, share, 0))


def draw_outline(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "_ _"]) -> None:
    """Draw a mask's outline into an image, which may be of another size."""
    contours = _outline(_resized(mask, (image.shape[1], image.shape[0])))
    # A light line on both sides of the dark one: seen on any photo.
    for colour, thickness in ((_PAPER, 3), (_TRUTH, 1)):
        cv2.polylines(image, contours, isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)


def _resized(mask: Bool[np.ndarray, "_ _"], size: tuple[int, int]) -> Bool[np.ndarray, "_ _"]:
    return cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128


def _outline(mask: Bool[np.ndarray, "_ _"]) -> Sequence[np.ndarray]:
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return contours


def _head(
    title: str, columns: Sequence[str], width: int, legend: Mapping[str, Colour], side: int
) -> UInt8[np.ndarray, "h w 3"]:
    head = np.full((2 * _LINE + 2 * _GAP, width, 3), _PAPER, np.uint8)
    _write(head, title, (_GAP, _GAP), size=0.5)
    _write_legend(head, legend)
    for column, name in enumerate(columns):
        _write(head, name, (_left(column, side), _GAP + _LINE))
    return head


def _write_legend(head: UInt8[np.ndarray, "h w 3"], legend: Mapping[str, Colour]) -> None:
    middle, step = _GAP + _LINE // 2, max(90, 36 + 8 * max(map(len, legend), default=0))
    for place, (name, colour) in enumerate(legend.items()):
        x = head.shape[1] - step * (len(legend) - place)
        cv2.rectangle(head, (x, middle - 5), (x + 18, middle + 5), colour, cv2.FILLED)
        _write(head, name, (x + 24, _GAP))


def _band(row: SheetRow, width: int, side: int) -> UInt8[np.ndarray, "h w 3"]:
    pictures = [cell.draw(side=side) for cell in row.cells]
    tallest = max((picture.shape[0] for picture in pictures), default=0)
    band = np.full((_LINE + _GAP + tallest + _CAPTION, width, 3), _PAPER, np.uint8)
    _write(band, row.title, (_GAP, 0), size=0.5)
    for column, (cell, picture) in enumerate(zip(row.cells, pictures, strict=True)):
        left, bottom = _left(column, side), _LINE + _GAP + picture.shape[0]
        band[_LINE + _GAP : bottom, left : left + picture.shape[1]] = picture
        for line, words in enumerate(cell.caption):
            _write(band, words, (left, bottom + line * _LINE))
    return band


def _left(column: int, side: int) -> int:
    return _GAP + column * (side + _GAP)


def _write(image: UInt8[np.ndarray, "h w 3"], words: str, corner: tuple[int, int], *, size: float = 0.42) -> None:
    """Write a line below and right of a corner (x, y); letters outside ASCII, which the font lacks, become `?`."""
    plain = words.encode("ascii", "replace").decode()
    place = (corner[0], corner[1] + 14)
    cv2.putText(image, plain, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, lineType=cv2.LINE_AA)
