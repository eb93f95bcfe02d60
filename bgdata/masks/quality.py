"""When a mask is not worth a photo: rejected, and counted by reason."""

import numpy as np
from jaxtyping import Bool

from bgdata.geometry import Box
from bgdata.masks.settings import QualitySettings


def reject_reason(mask: Bool[np.ndarray, "h w"], box: Box | None, settings: QualitySettings) -> str | None:
    """`empty`, `too_small` (for its box), `too_large` (for its photo), or None where the mask is good.

    Source: the generator of ImageNet-9 rejects a foreground below 0.1 of the box's area; the upper bound is ours: where
    all is foreground there is no background to change.
    """
    foreground = int(mask.sum())
    if foreground == 0:
        return "empty"
    if box is not None and foreground < settings.min_box_share * box.area:
        return "too_small"
    return "too_large" if foreground > settings.max_photo_share * mask.size else None
