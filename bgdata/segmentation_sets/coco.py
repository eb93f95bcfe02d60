"""COCO's instances, as the official archives and the exports of other tools hold them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool

from bgdata.masks.rle import decode_polygons, decode_rle
from bgdata.segmentation_sets.base import (
    Sample,
    Truth,
    UnusableTruth,
    check_samples,
    count_samples,
    read_photo,
    truth_of,
)
from bgdata.segmentation_sets.coco_layout import find_layout
from bgdata.segmentation_sets.coco_records import CocoShape, name_stems, read_contents, sift_records
from bgdata.segmentation_sets.places import Places
from bgdata.segmentation_sets.unusable import Unusable, check_unusable


class CocoSet:
    """The instances of one split; the masks of a category in an image are joined, crowds included.

    Annotations of no use, or whose photo is not there, are left out and counted.

    Source: the format that cocodataset.org documents under "Data format"; pycocotools rasterises.

    Raises InputError where the folder or the file as a whole is not of that form, or more than the share `max_unusable`
    of its annotations is of no use.
    """

    clustered_by: Literal["image"] = "image"

    def __init__(self, root: Path, *, split: str | None = None, max_unusable: float = 0.0) -> None:
        layout = find_layout(root, split=split)
        self.name = f"coco/{layout.split}"
        self._places = Places(layout.photos)
        records = sift_records(read_contents(layout.annotations), self._measure)
        paths = {key: self._places.find(records.images[key].file_name) for key, _ in records.shapes}
        stems = name_stems(records.images)
        self._found = {
            Sample(f"{stems[key]}/{category}", stems[key], category, cluster=stems[key]): (
                path,
                records.images[key].size,
                shapes,
            )
            for (key, category), shapes in records.shapes.items()
            if (path := paths[key]) is not None
        }
        missing = [
            Unusable(shape.item, "missing_photo", f"its photo {records.images[key].file_name} is missing")
            for (key, _), shapes in records.shapes.items()
            if paths[key] is None
            for shape in shapes
        ]
        self.unusable = (*records.unusable, *missing)
        check_unusable(self.unusable, total=records.total, limit=max_unusable, where=layout.annotations)
        self.samples = tuple(self._found)
        self.counts = count_samples(self.samples, images=len(records.images))
        check_samples(self.samples, layout.annotations, images=len(records.images))

    def read(self, sample: Sample) -> Truth:
        """Decode the photo and join the masks; see `SegmentationSet`.

        Raises UnusableTruth (`size_mismatch`) where the photo is not of the size that the file says.
        """
        path, size, shapes = self._found[sample]
        image = read_photo(path)
        if image.shape[:2] != size:
            raise UnusableTruth(
                "size_mismatch",
                f"{path} is {image.shape[0]}x{image.shape[1]}, its record says {size[0]}x{size[1]} (height x width)",
            )
        return truth_of(image, _join(shapes, size))

    def _measure(self, name: str) -> tuple[int, int] | None:
        path = self._places.find(name)
        try:
            image = read_photo(path) if path else None
        except UnusableTruth:
            return None
        return None if image is None else (image.shape[0], image.shape[1])


def draw_shape(shape: CocoShape, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask that an annotation draws on a photo of `size` (height, width)."""
    drawn = shape.segmentation
    return decode_rle(drawn, size) if isinstance(drawn, dict) else decode_polygons(drawn, size)


def _join(shapes: Sequence[CocoShape], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    mask = np.zeros(size, bool)
    for shape in shapes:
        mask |= draw_shape(shape, size)
    return mask
