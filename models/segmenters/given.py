"""The masks that came with the data, as a segmenter."""

from collections.abc import Sequence

from bgdata.errors import InputError
from bgdata.io import decode_mask
from bgdata.shards import ImageSet
from models.segmenters.base import Photo, Segmentation


class GivenMasks:
    """Looks masks up by the photo's id."""

    name = "given"

    def __init__(self, masks: ImageSet) -> None:
        self._masks = masks
        self._rows = {row.id: row for row in masks.rows}

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Look each mask up; reasons: `no_given_mask`, `unreadable_mask`, `size_mismatch` (not its photo's size)."""
        return [self._look_up(photo) for photo in photos]

    def _look_up(self, photo: Photo) -> Segmentation:
        if photo.id not in self._rows:
            return Segmentation(None, reason="no_given_mask")
        data = self._masks.read(self._rows[photo.id])
        try:
            mask = decode_mask(data)
        except InputError:
            return Segmentation(None, reason="unreadable_mask")
        if mask.shape != photo.image.shape[:2]:
            return Segmentation(None, reason="size_mismatch")
        return Segmentation(mask)
