"""The paper's segmenter: GrabCut, started from the box."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from bgdata.geometry import Box
from bgdata.randomness import image_generator
from models.segmenters.base import Photo, Segmentation

# OpenCV models foreground and background by five colours each, and fails on fewer pixels.
_COLOURS = 5


@dataclass(frozen=True)
class GrabCut:
    """Box + GrabCut at the photo's full size.

    Source: Xiao et al., "Noise or Signal": `cv2.grabCut` with `GC_INIT_WITH_RECT` and five iterations. The authors
    leave OpenCV's random numbers to chance; here they are seeded from (seed, image id) before each photo. OpenCV keeps
    them by the thread, and gives no way to read and restore them.
    """

    iterations: int
    seed: int
    name: str = "grabcut"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment each photo by itself; reasons: `no_box`, `box_too_small`, `no_background` (outside the box)."""
        return [self._segment(photo) for photo in photos]

    def _segment(self, photo: Photo) -> Segmentation:
        size = photo.image.shape[:2]
        if photo.box is None:
            return Segmentation(None, reason="no_box")
        box = photo.box.clipped(size)
        if box.area < _COLOURS:
            return Segmentation(None, reason="box_too_small")
        if size[0] * size[1] - box.area < _COLOURS:
            return Segmentation(None, reason="no_background")
        return Segmentation(self._foreground(photo, box))

    def _foreground(self, photo: Photo, box: Box) -> Bool[np.ndarray, "h w"]:
        cv2.setRNGSeed(int(image_generator(self.seed, photo.id, self.name).integers(2**31)))
        labels = np.zeros(photo.image.shape[:2], np.uint8)
        background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
        rectangle = (box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0)
        image = cv2.cvtColor(photo.image, cv2.COLOR_RGB2BGR)  # as the authors read it; the channels' order rounds sums
        cv2.grabCut(image, labels, rectangle, background, foreground, self.iterations, cv2.GC_INIT_WITH_RECT)
        return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
