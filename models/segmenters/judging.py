"""A segmenter's mask, cleaned and judged."""

from dataclasses import replace

from bgdata.masks.clean import clean_mask
from bgdata.masks.metrics import check_same_size
from bgdata.masks.quality import reject_reason
from models.segmenters.base import Photo, Segmentation
from models.segmenters.settings import SegmentJob


def judge_mask(photo: Photo, answer: Segmentation, settings: SegmentJob) -> Segmentation:
    """The answer with its mask cleaned, or with the reason why that mask is rejected.

    Raises InputError where the mask is not of the photo's size.
    """
    if answer.mask is None:
        return answer
    check_same_size(answer.mask, photo.image.shape, name=photo.id)
    mask = clean_mask(answer.mask, settings.clean)
    reason = reject_reason(mask, photo.box, settings.quality)
    return replace(answer, mask=None if reason else mask, reason=reason)
