"""The masks that came with the data, as a segmenter."""

from collections.abc import Sequence

from bgdata.masks.given import UnusableMask, read_given_mask
from bgdata.shards import ImageSet
from models.segmenters.base import Photo, Segmentation


class GivenMasks:
    """Looks masks up by the photo's id."""

    name = "given"

    def __init__(self, masks: ImageSet) -> None:
        self._masks = masks
        self._rows = {row.id: row for row in masks.rows}

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Look each mask up; reasons: `no_given_mask`, and those of `read_given_mask`."""
        return [self._look_up(photo) for photo in photos]

    def _look_up(self, photo: Photo) -> Segmentation:
        if photo.id not in self._rows:
            return Segmentation(None, reason="no_given_mask")
        height, width, _ = photo.image.shape
        try:
            return Segmentation(read_given_mask(self._masks.read(self._rows[photo.id]), (height, width), photo.box))
        except UnusableMask as unusable:
            return Segmentation(None, reason=unusable.args[0])
