"""Which of the things that a text found become the mask, and why there is none."""

from collections.abc import Sequence

from bgdata.geometry import Box
from models.segmenters.base import Detection, Photo
from models.segmenters.settings import Keep


def kept_places(photo: Photo, found: Sequence[Detection], *, keep: Keep, min_overlap: float) -> list[int]:
    """The places of those in `found` (best first) that become the mask, best first."""
    places = list(range(len(found)))
    if keep == "best_overlapping":
        annotated = photo.box
        places = [at for at in places if annotated and box_iou(found[at].box, annotated) >= min_overlap]
    return places if keep == "all" else places[:1]


def missing_reason(photo: Photo, found: Sequence[Detection]) -> str:
    """Why nothing was kept: `no_prompt`, `no_detection`, `no_box` (annotated) or `no_overlap`."""
    if not photo.prompt:
        return "no_prompt"
    if not found:
        return "no_detection"
    return "no_box" if photo.box is None else "no_overlap"


def box_iou(box: tuple[float, float, float, float], other: Box) -> float:
    """Intersection over union of two xyxy boxes, in [0, 1]; 0 where both are empty."""
    width = min(box[2], other.x1) - max(box[0], other.x0)
    height = min(box[3], other.y1) - max(box[1], other.y0)
    shared = max(width, 0.0) * max(height, 0.0)
    union = (box[2] - box[0]) * (box[3] - box[1]) + other.area - shared
    return shared / union if union > 0 else 0.0
