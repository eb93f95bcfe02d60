"""The paper's segmenter: GrabCut, started from the box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from bgdata.geometry import Box
from bgdata.randomness import image_generator
from models.segmenters.base import Photo, Segmentation
from models.segmenters.colour_models import COLOURS

_NAME = "grabcut"


@dataclass(frozen=True)
class GrabCut:
    """Box + GrabCut at the photo's full size.

    Source: Xiao et al., "Noise or Signal": `cv2.grabCut` with `GC_INIT_WITH_RECT` and five iterations. The authors
    leave OpenCV's random numbers to chance; here they are seeded from (seed, image id) before each photo. OpenCV keeps
    them by the thread, and gives no way to read and restore them.
    """

    iterations: int
    seed: int
    name: str = _NAME

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment each photo by itself; reasons: `no_box`, `box_too_small`, `no_background` (outside the box)."""
        return [segment_box(photo, self._foreground) for photo in photos]

    def _foreground(self, photo: Photo, box: Box) -> Bool[np.ndarray, "h w"]:
        return is_foreground(start_from_box(photo, box, seed=self.seed, iterations=self.iterations).labels)


@dataclass(frozen=True)
class Cut:
    """What `cv2.grabCut` leaves: the photo as BGR, a label (`cv2.GC_*`) a pixel, the models of both sides' colours."""

    image: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    background: Float[np.ndarray, "1 65"]
    foreground: Float[np.ndarray, "1 65"]


def is_foreground(labels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """True where the label is foreground, certain or probable."""
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def segment_box(photo: Photo, foreground: Callable[[Photo, Box], Bool[np.ndarray, "h w"]]) -> Segmentation:
    """The foreground in the photo's box, by a function of photo and clipped box, or the reason for none."""
    size = photo.image.shape[:2]
    if photo.box is None:
        return Segmentation(None, reason="no_box")
    box = photo.box.clipped(size)
    if box.area < COLOURS:
        return Segmentation(None, reason="box_too_small")
    if size[0] * size[1] - box.area < COLOURS:
        return Segmentation(None, reason="no_background")
    return Segmentation(foreground(photo, box))


def start_from_box(photo: Photo, box: Box, *, seed: int, iterations: int) -> Cut:
    """OpenCV's GrabCut from the box, seeded; after 0 iterations the box is foreground and the models are k-means'."""
    cv2.setRNGSeed(int(image_generator(seed, photo.id, _NAME).integers(2**31)))
    labels = np.zeros(photo.image.shape[:2], np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    rectangle = (box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0)
    image = cv2.cvtColor(photo.image, cv2.COLOR_RGB2BGR)  # as the authors read it; the channels' order rounds sums
    cv2.grabCut(image, labels, rectangle, background, foreground, iterations, cv2.GC_INIT_WITH_RECT)
    return Cut(image, labels, background, foreground)
