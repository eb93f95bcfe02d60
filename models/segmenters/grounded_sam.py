"""GroundingDINO + SAM: the foreground that a text names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bgdata.geometry import Box
from models.segmenters.base import Detection, Photo, Segmentation
from models.segmenters.grounding_dino import GroundingDino, load_grounding_dino
from models.segmenters.sam import BoxMasks, load_box_masks
from models.segmenters.settings import GroundingDinoSettings, SamSettings


@dataclass(frozen=True)
class GroundedSam:
    """Boxes from the photo's prompt, some of them kept, and the union of their masks.

    Source: Ren et al. 2024, "Grounded SAM", whose demo keeps all boxes.
    """

    detector: GroundingDino
    masks: BoxMasks
    keep: Literal["all", "best", "best_overlapping"]
    min_overlap: float
    name: str = "grounded_sam"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment what each photo's prompt names; `score` is the detector's for the best box that was kept.

        Reasons: `no_prompt`, `no_detection`; for `best_overlapping` also `no_box` (annotated) and `no_overlap`.
        """
        detections = self._detect(photos)
        kept = [self._keep(photo, boxes) for photo, boxes in zip(photos, detections, strict=True)]
        wanted = [place for place, chosen in enumerate(kept) if chosen]
        masks = self.masks.segment(
            [photos[place].image for place in wanted],
            [[detections[place][index].box for index in kept[place]] for place in wanted],
        )
        answers = [
            Segmentation(None, reason=self._reason(photo, boxes), detections=tuple(boxes))
            for photo, boxes in zip(photos, detections, strict=True)
        ]
        for place, (mask, mask_scores) in zip(wanted, masks, strict=True):
            boxes = detections[place]
            for index, mask_score in zip(kept[place], mask_scores, strict=True):
                boxes[index] = replace(boxes[index], mask_score=mask_score)
            answers[place] = Segmentation(mask, boxes[kept[place][0]].score, detections=tuple(boxes))
        return answers

    def _detect(self, photos: Sequence[Photo]) -> list[list[Detection]]:
        asked = [place for place, photo in enumerate(photos) if photo.prompt]
        found = self.detector.detect([photos[at].image for at in asked], [photos[at].prompt for at in asked])
        by_place = dict(zip(asked, found, strict=True))
        return [by_place.get(place, []) for place in range(len(photos))]

    def _keep(self, photo: Photo, boxes: Sequence[Detection]) -> list[int]:
        """Which boxes become the mask, best first."""
        places = list(range(len(boxes)))
        if self.keep == "best_overlapping":
            annotated = photo.box
            places = [at for at in places if annotated and box_iou(boxes[at].box, annotated) >= self.min_overlap]
        return places if self.keep == "all" else places[:1]

    def _reason(self, photo: Photo, boxes: Sequence[Detection]) -> str:
        if not photo.prompt:
            return "no_prompt"
        if not boxes:
            return "no_detection"
        return "no_box" if photo.box is None else "no_overlap"


def box_iou(box: tuple[float, float, float, float], other: Box) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]; 0 where both are empty."""
    width = min(box[2], other.x1) - max(box[0], other.x0)
    height = min(box[3], other.y1) - max(box[1], other.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    union = (box[2] - box[0]) * (box[3] - box[1]) + other.area - shared
    return shared / union if union > 0 else 0.0


def load_grounded_sam(
    weights: Path, detector: GroundingDinoSettings, sam: SamSettings, *, device: str, batch: int = 1
) -> GroundedSam:
    """Both networks from the folder of fetched weights; `batch` photos go through each at once on CUDA.

    Raises InputError where a file is missing, cut short or another network's.
    """
    return GroundedSam(
        detector=load_grounding_dino(weights, detector, device=device, batch=batch),
        masks=load_box_masks(weights, sam, device=device, batch=batch),
        keep=detector.keep,
        min_overlap=detector.min_overlap,
    )
