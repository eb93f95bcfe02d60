"""Detection: the objects of a COCO file, one split, with boxes, masks and crowds as annotated."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.geometry import mask_box
from bgdata.masks.rle import encode_rle
from bgdata.segmentation_sets.coco import draw_shape
from bgdata.segmentation_sets.coco_layout import find_part
from bgdata.segmentation_sets.coco_records import (
    CocoAnnotations,
    CocoShape,
    name_stems,
    read_contents,
    sift_annotations,
)
from bgdata.segmentation_sets.places import Places
from bgdata.segmentation_sets.unusable import Unusable, check_unusable
from bgdata.transfer_sets.base import (
    Instance,
    LabelledImage,
    check_same_size,
    digest_of,
    digest_of_files,
    read_photo_file,
)

LIMIT = "the set's max_unusable"
Edges = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotated:
    """An object as its annotation says: label, box (xyxy; None: the mask's own), whether a crowd, and what it draws."""

    label: int
    box: Edges | None
    crowd: bool
    shape: CocoShape


@dataclass(frozen=True)
class _Photo:
    path: Path
    size: tuple[int, int]
    objects: tuple[Annotated, ...]


class CocoDetection:
    """The photos of one split, those without an object too, with all their objects in the file's order.

    `categories` are the file's, in its order. Photos that are missing, or of whose annotations one is of no use (the
    truth there is not whole), are left out, and listed in `unusable`. `name` is what results call the set.

    Source: the format that cocodataset.org documents under "Data format"; pycocotools rasterises.

    Raises InputError where the folder or the file as a whole is not of that form, it has no photo of use, or more than
    the share `max_unusable` of its records is of no use.
    """

    task = "detection"

    def __init__(self, root: Path, *, split: str, name: str = "coco", max_unusable: float = 0.0) -> None:
        self._layout = layout = find_part(root, split)
        self.name, self.split = f"{name}/{layout.split}", split
        self._places = Places(layout.photos)
        sifted = sift_annotations(read_contents(layout.annotations), self._measure)
        self.categories = sifted.categories
        objects, broken = _objects(sifted)
        self._photos, missing = self._found(sifted, objects)
        self.unusable = (*sifted.unusable, *broken, *missing)
        check_unusable(self.unusable, total=sifted.total, limit=max_unusable, where=layout.annotations, setting=LIMIT)
        self.ids: Sequence[str] = tuple(self._photos)
        if not self.ids:
            raise InputError(f"{layout.annotations} has no photo that can be used: fetch the set again")

    def objects(self, image_id: str) -> tuple[Annotated, ...]:
        """The objects of a photo as the file has them; decodes nothing."""
        return self._photos[image_id].objects

    def read(self, image_id: str) -> LabelledImage:
        """Decode a photo and draw its masks; see `TaskSet`."""
        photo = self._photos[image_id]
        image = read_photo_file(photo.path)
        check_same_size(photo.path, image, photo.size, what=f"its record in {self._layout.annotations.name}")
        return LabelledImage(image_id, image, tuple(_instance(one, photo.size) for one in photo.objects))

    @cached_property
    def digest(self) -> str:
        """Of the annotations, and of the photos' names and sizes."""
        files = ((name, photo.path) for name, photo in self._photos.items())
        return digest_of([self.task, self._layout.annotations.read_bytes(), digest_of_files(files)])

    def _found(
        self, sifted: CocoAnnotations, objects: Mapping[str, Sequence[Annotated]]
    ) -> tuple[dict[str, _Photo], list[Unusable]]:
        """The photos that are there and whole, by what they are called, in the file's order; and those missing."""
        photos: dict[str, _Photo] = {}
        missing = []
        stems = name_stems(sifted.images)
        for key, record in sifted.images.items():
            path = self._places.find(record.file_name)
            if path is None:
                missing.append(Unusable(f"image {key}", "missing_photo", f"its photo {record.file_name} is missing"))
            elif key in objects:
                photos[stems[key]] = _Photo(path, record.size, tuple(objects[key]))
        return photos, missing

    def _measure(self, name: str) -> tuple[int, int] | None:
        path = self._places.find(name)
        try:
            image = read_photo_file(path) if path else None
        except InputError:
            return None
        return None if image is None else (image.shape[0], image.shape[1])


def coco_truth(images: Iterable[LabelledImage], categories: Sequence[str]) -> dict[str, Any]:
    """Images and their objects as COCO's file, for pycocotools: ids count from 1 in the order given (an annotation 0
    would never match), categories' ids are their labels and 1, areas are the masks' pixels.
    """
    records: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, labelled in enumerate(images, start=1):
        height, width = labelled.image.shape[:2]
        records.append({"id": number, "file_name": labelled.id, "height": height, "width": width})
        for one in labelled.instances:
            x0, y0, x1, y1 = one.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one.label + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": encode_rle(one.mask),
                    "area": int(one.mask.sum()),
                    "iscrowd": int(one.crowd),
                }
            )
    named = [{"id": label, "name": name} for label, name in enumerate(categories, start=1)]
    return {"images": records, "annotations": annotations, "categories": named}


def _objects(sifted: CocoAnnotations) -> tuple[dict[str, list[Annotated]], list[Unusable]]:
    """The objects of each photo whose truth is whole, and the annotations with a box of no use."""
    labels = {name: label for label, name in enumerate(sifted.categories)}
    objects: dict[str, list[Annotated]] = {key: [] for key in sifted.images}
    incomplete, broken = set(sifted.incomplete), []
    for one in sifted.found:
        try:
            box = _box(one.record.get("bbox"))
        except InputError as error:
            broken.append(Unusable(one.shape.item, "broken_box", str(error)))
            incomplete.add(one.image)
            continue
        objects[one.image].append(Annotated(labels[one.category], box, bool(one.record.get("iscrowd")), one.shape))
    return {key: found for key, found in objects.items() if key not in incomplete}, broken


def _box(said: Any) -> Edges | None:
    """The edges (xyxy) of COCO's box (x, y, width, height); None where none is said.

    Raises InputError where it is no box of any area.
    """
    if said is None:
        return None
    whole = isinstance(said, list) and len(said) == 4 and all(isinstance(edge, Real) for edge in said)
    x, y, width, height = (float(edge) for edge in said) if whole else (math.nan,) * 4
    if not (math.isfinite(x + y + width + height) and width > 0 and height > 0):
        raise InputError(f"its bbox is {str(said)[:60]}, expected x, y, width and height of more than 0")
    return (x, y, x + width, y + height)


def _instance(one: Annotated, size: tuple[int, int]) -> Instance:
    mask = draw_shape(one.shape, size)
    x0, y0, x1, y1 = one.box or mask_box(mask) or (0, 0, 0, 0)
    return Instance(one.label, (float(x0), float(y0), float(x1), float(y1)), mask, one.crowd)
