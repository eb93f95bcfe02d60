"""SAM alone: the foreground in the annotated box."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.segmenters.base import Photo, Segmentation
from models.segmenters.box_masks import MasksOfBoxes, MasksOfImage
from models.segmenters.parts import load_masks
from models.segmenters.settings import SamSettings


@dataclass(frozen=True)
class SamBoxes:
    """For data that have boxes, as ImageNet does: no text and no detector."""

    masks: MasksOfBoxes
    candidates: int = 0
    name: str = "sam_boxes"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment the object in each photo's box; `score` is the IoU that SAM predicts. Reason: `no_box`."""
        boxed = [(photo.image, photo.box) for photo in photos if photo.box is not None]
        images, boxes = [image for image, _ in boxed], [[box] for _, box in boxed]
        found = iter(self.masks.offer(images, boxes, count=self.candidates))
        return [_answer(next(found)) if photo.box else Segmentation(None, reason="no_box") for photo in photos]


def _answer(found: MasksOfImage) -> Segmentation:
    return Segmentation(found.union, found.scores[0], candidates=found.candidates)


def load_sam_boxes(
    weights: Path, settings: SamSettings, *, device: str, batch: int = 1, candidates: int = 0
) -> SamBoxes:
    """SAM from the folder of fetched weights; `batch` photos are encoded at once on CUDA; so many candidates a photo.

    Raises InputError where its file is missing, cut short or another network's.
    """
    return SamBoxes(load_masks(weights, settings, device=device, batch=batch), candidates)
