"""GroundingDINO + SAM: the foreground that a text names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.segmenters.base import Detection, Photo, Segmentation
from models.segmenters.box_masks import MasksOfBoxes
from models.segmenters.keeping import kept_places, missing_reason
from models.segmenters.parts import load_detector, load_masks
from models.segmenters.settings import GroundingDinoSettings, Keep, SamSettings
from models.segmenters.text_boxes import Detector


@dataclass(frozen=True)
class GroundedSam:
    """Boxes from the photo's prompt, some of them kept, and the union of their masks.

    Source: Ren et al. 2024, "Grounded SAM", whose demo keeps all boxes.
    """

    detector: Detector
    masks: MasksOfBoxes
    keep: Keep
    min_overlap: float
    candidates: int = 0
    name: str = "grounded_sam"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment what each photo's prompt names; `score` is the detector's for the best box that was kept.

        Reasons: `no_prompt`, `no_detection`; for `best_overlapping` also `no_box` (annotated) and `no_overlap`.
        """
        detections = self._detect(photos)
        kept = [
            kept_places(photo, boxes, keep=self.keep, min_overlap=self.min_overlap)
            for photo, boxes in zip(photos, detections, strict=True)
        ]
        wanted = [place for place, chosen in enumerate(kept) if chosen]
        masks = self.masks.offer(
            [photos[place].image for place in wanted],
            [[detections[place][index].box for index in kept[place]] for place in wanted],
            count=self.candidates,
        )
        answers = [
            Segmentation(None, reason=missing_reason(photo, boxes), detections=tuple(boxes))
            for photo, boxes in zip(photos, detections, strict=True)
        ]
        for place, (mask, mask_scores, candidates) in zip(wanted, masks, strict=True):
            boxes = detections[place]
            for index, mask_score in zip(kept[place], mask_scores, strict=True):
                boxes[index] = replace(boxes[index], mask_score=mask_score)
            score = boxes[kept[place][0]].score
            answers[place] = Segmentation(mask, score, detections=tuple(boxes), candidates=candidates)
        return answers

    def _detect(self, photos: Sequence[Photo]) -> list[list[Detection]]:
        asked = [place for place, photo in enumerate(photos) if photo.prompt]
        found = self.detector.detect([photos[at].image for at in asked], [photos[at].prompt for at in asked])
        by_place = dict(zip(asked, found, strict=True))
        return [by_place.get(place, []) for place in range(len(photos))]


def load_grounded_sam(
    weights: Path,
    detector: GroundingDinoSettings,
    sam: SamSettings,
    *,
    device: str,
    batch: int = 1,
    candidates: int = 0,
) -> GroundedSam:
    """Both networks from the folder of fetched weights; `batch` photos go through each at once on CUDA; so many
    candidates a photo.

    Raises InputError where a file is missing, cut short or another network's.
    """
    return GroundedSam(
        detector=load_detector(weights, detector, device=device, batch=batch),
        masks=load_masks(weights, sam, device=device, batch=batch),
        keep=detector.keep,
        min_overlap=detector.min_overlap,
        candidates=candidates,
    )
