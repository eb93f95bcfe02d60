"""Pictures of a sheet for tasks on whole images: objects with boxes and masks, and pixels in their class's colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.segmentation_sets.voc import voc_palette
from bgdata.sheets.sheet import SEGMENTATION, Colour, pale, scaled_image
from bgdata.transfer_sets.base import BACKGROUND, VOID

TRUTH, FOUND = SEGMENTATION["truth"], SEGMENTATION["found"]
GREY: Colour = (128, 128, 128)
_MASK, _CLASSES = 0.3, 0.6
_PALER = 0.5
# Of the picture: regions below are not named, there would be no room.
_NAMED = 0.01
_FONT, _SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.36


@dataclass(frozen=True)
class DrawnObject:
    """A box (xyxy in the image's pixels), its mask, and what is written at it (nothing where empty)."""

    box: tuple[float, float, float, float]
    mask: Bool[np.ndarray, "h w"]
    words: str


@dataclass(frozen=True)
class ObjectsCell:
    """An image with its true objects in blue and those that were found in orange."""

    image: UInt8[np.ndarray, "h w 3"]
    truth: Sequence[DrawnObject]
    found: Sequence[DrawnObject]
    caption: tuple[str, ...]

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, its longer side `side` pixels; names stand above a true box, below one that was found."""
        picture, scale = pale(scaled_image(self.image, side), _PALER), side / max(self.image.shape[:2])
        for objects, colour in ((self.truth, TRUTH), (self.found, FOUND)):
            for one in objects:
                _tint(picture, _fitted(one.mask, picture), colour, _MASK)
        for objects, colour in ((self.truth, TRUTH), (self.found, FOUND)):
            for one in objects:
                x0, y0, x1, y1 = (round(edge * scale) for edge in one.box)
                cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), colour, 2)
        for objects, colour in ((self.truth, TRUTH), (self.found, FOUND)):
            for one in objects:
                x0, y0, _, y1 = (round(edge * scale) for edge in one.box)
                write_label(picture, one.words, (x0, y0 if colour == TRUTH else y1 - 14), colour)
        return picture


@dataclass(frozen=True)
class ClassesCell:
    """An image under the class of each pixel (VOID: grey); the larger regions are named. What is background, where the
    categories have that, is left as it is, in paler colours.
    """

    image: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    categories: Sequence[str]
    caption: tuple[str, ...]

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, its longer side `side` pixels."""
        picture = pale(scaled_image(self.image, side), _PALER)
        labels = cv2.resize(self.labels, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        first = 1 if tuple(self.categories[:1]) == (BACKGROUND,) else 0
        present = [label for label in np.unique(labels).tolist() if label >= first]
        for label in present:
            _tint(picture, labels == label, class_colour(label), _CLASSES)
        for label in present:
            if label < len(self.categories):
                _name_largest(picture, labels == label, self.categories[label], class_colour(label))
        return picture


def class_colour(label: int) -> Colour:
    """VOC's colour of a class; VOID is grey."""
    if label == VOID:
        return GREY
    red, green, blue = voc_palette()[label].tolist()
    return red, green, blue


def write_label(picture: UInt8[np.ndarray, "h w 3"], words: str, corner: tuple[int, int], colour: Colour) -> None:
    """Write on a plate of a colour, below and right of a corner (x, y), moved into the picture."""
    if not words:
        return
    plain = words.encode("ascii", "replace").decode()
    (width, height), _ = cv2.getTextSize(plain, _FONT, _SIZE, 1)
    x = int(np.clip(corner[0], 0, max(picture.shape[1] - width - 4, 0)))
    y = int(np.clip(corner[1], 0, max(picture.shape[0] - height - 6, 0)))
    cv2.rectangle(picture, (x, y), (x + width + 3, y + height + 5), colour, cv2.FILLED)
    ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else (255, 255, 255)
    cv2.putText(picture, plain, (x + 2, y + height + 2), _FONT, _SIZE, ink, 1, lineType=cv2.LINE_AA)


def _name_largest(
    picture: UInt8[np.ndarray, "h w 3"], region: Bool[np.ndarray, "h w"], name: str, colour: Colour
) -> None:
    """Name a class at the middle of its largest connected region."""
    count, parts, stats, centres = cv2.connectedComponentsWithStats(region.view(np.uint8))
    if count < 2:
        return
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    if stats[largest, cv2.CC_STAT_AREA] >= _NAMED * region.size:
        x, y = _inside(parts == largest, centres[largest])
        write_label(picture, name, (x - 3 * len(name), y - 8), colour)


def _inside(part: Bool[np.ndarray, "h w"], centre: np.ndarray) -> tuple[int, int]:
    """The place of a region that is nearest to its centre of mass, which may lie outside of it."""
    rows, columns = np.nonzero(part)
    nearest = int(((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2).argmin())
    return int(columns[nearest]), int(rows[nearest])


def _fitted(mask: Bool[np.ndarray, "_ _"], picture: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    grey = mask.view(np.uint8) * np.uint8(255)
    return cv2.resize(grey, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR) >= 128


def _tint(picture: UInt8[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"], colour: Colour, share: float) -> None:
    picture[where] = (picture[where] * (1 - share) + np.asarray(colour) * share).round().astype(np.uint8)
