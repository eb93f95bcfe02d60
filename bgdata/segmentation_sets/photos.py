"""Our own photos with the masks that came with them, as ingest wrote them."""

from typing import Literal

from bgdata.errors import InputError
from bgdata.geometry import Box, mask_box
from bgdata.io import decode_image
from bgdata.masks.given import UnusableMask, read_given_mask
from bgdata.segmentation_sets.base import Sample, Truth, UnusableTruth, count_samples
from bgdata.segmentation_sets.unusable import Unusable
from bgdata.shards import ImageSet


class PhotoSet:
    """The photos of one split that have a given mask; the category is the class's name, the box the annotated one.

    A set without masks has no sample. The two sets stay the caller's, and open.
    """

    clustered_by: Literal["image"] = "image"

    def __init__(self, photos: ImageSet, given: ImageSet, *, split: str = "val") -> None:
        self.name = f"photos/{split}"
        self._photos, self._given = photos, given
        rows = photos.split(split)
        masks = {row.id: row for row in given.split(split)}
        self._rows = {row.id: (row, masks[row.id]) for row in rows if row.id in masks}
        self.samples = tuple(
            Sample(row.id, row.id, photos.classes.names[row.label], cluster=row.id) for row, _ in self._rows.values()
        )
        self.unusable: tuple[Unusable, ...] = ()
        self.counts = count_samples(self.samples, images=len(rows))

    def read(self, sample: Sample) -> Truth:
        """Decode a photo and its mask; see `SegmentationSet`.

        Raises UnusableTruth: `unreadable_photo`, `empty_truth`, and the reasons of `read_given_mask`.
        """
        photo, given = self._rows[sample.id]
        try:
            image = decode_image(self._photos.read(photo))
        except InputError as error:
            source = photo.extra.get("source", photo.name)
            raise UnusableTruth("unreadable_photo", f"photo {photo.id} ({source}): {error}") from None
        box = Box.from_cells(photo.extra)
        try:
            mask = read_given_mask(self._given.read(given), (image.shape[0], image.shape[1]), box)
        except UnusableMask as unusable:
            raise UnusableTruth(unusable.args[0]) from None
        if not mask.any():
            raise UnusableTruth("empty_truth")
        return Truth(image, mask, box or mask_box(mask))
