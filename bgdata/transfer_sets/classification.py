"""Classification: photos in class folders, and single objects cut from the images of a detection set."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from bgdata.class_files import list_class_folders
from bgdata.corrupt.names import SMALLEST
from bgdata.errors import InputError
from bgdata.foreign_images import plain_image
from bgdata.geometry import Box
from bgdata.ingest.folder import ValShare, find_folder_tree, list_folder_tree
from bgdata.io import decode_image
from bgdata.transfer_sets.base import Instance, LabelledImage, digest_of, digest_of_files, read_file
from bgdata.transfer_sets.coco import CocoDetection

# How much of a cut image's side is the object's longer side.
_OBJECT_SHARE = 0.75


class FolderPhotos:
    """One split of a tree of class folders, as `bgdata.ingest.folder` reads it; a tree that is not split is, by
    `val_share` and `seed`.

    Raises InputError where there is no such tree, or the split has no photo.
    """

    task = "classification"

    def __init__(self, root: Path, *, split: str, val_share: float, seed: int) -> None:
        tree = find_folder_tree(root, list_class_folders(root))
        self.name, self.split, self.categories = f"folder/{split}", split, tree.classes.names
        self._found = {
            one.id: (Path(one.photo), one.label)
            for one in list_folder_tree(tree, share=ValShare(val_share, seed))
            if one.split == split and one.photo is not None
        }
        self.ids: Sequence[str] = tuple(self._found)
        if not self.ids:
            raise InputError(f"{root} has no photo in {split}: add some, or change val_share")

    def read(self, image_id: str) -> LabelledImage:
        """Decode one photo, unturned as torchvision's loaders see it; see `TaskSet`."""
        path, label = self._found[image_id]
        return LabelledImage(image_id, read_file(path, _decoded), label=label)

    @cached_property
    def digest(self) -> str:
        """Of the classes, and of the photos' paths and sizes."""
        files = ((f"{name} {label}", path) for name, (path, label) in self._found.items())
        return digest_of([self.task, self.split, *self.categories, digest_of_files(files)])


class ObjectCrops:
    """The single objects of a detection set (its crowds left out): squares around their boxes, three quarters of whose
    side the longer side of the box is, moved into the image and as large as it lets them be.

    An image holds what shows of all objects in its square, masks and boxes cut to it.

    Raises InputError where no object is single.
    """

    task = "classification"

    def __init__(self, objects: CocoDetection) -> None:
        self._objects = objects
        self.name, self.split, self.categories = objects.name, objects.split, objects.categories
        self._places = {
            f"{image_id}-{number}": (image_id, number)
            for image_id in objects.ids
            for number, one in enumerate(objects.objects(image_id))
            if not one.crowd
        }
        self.ids: Sequence[str] = tuple(self._places)
        if not self.ids:
            raise InputError(f"{objects.name} has no single object, so nothing can be classified: take another set")

    def read(self, image_id: str) -> LabelledImage:
        """Cut one object out, in the image's own resolution; see `TaskSet`."""
        source, number = self._places[image_id]
        whole = self._objects.read(source)
        window = _window(whole.instances[number].box, (whole.image.shape[0], whole.image.shape[1]))
        cut = [_cut(one, window) for one in whole.instances]
        image = np.ascontiguousarray(whole.image[window.y0 : window.y1, window.x0 : window.x1])
        shown = tuple(one for one in cut if one.mask.any())
        return LabelledImage(image_id, image, shown, label=whole.instances[number].label)

    def source(self, image_id: str) -> str:
        """The image that an object was cut from; see `CutSet`."""
        return self._places[image_id][0]

    @property
    def digest(self) -> str:
        """Of the objects' set."""
        return digest_of([self.task, self._objects.digest])


def _window(box: tuple[float, float, float, float], size: tuple[int, int]) -> Box:
    """The square around a box in an image of `size` (height, width)."""
    x0, y0, x1, y1 = box
    side = max(round(max(x1 - x0, y1 - y0) / _OBJECT_SHARE), SMALLEST)
    edges = []
    for centre, length in (((x0 + x1) / 2, size[1]), ((y0 + y1) / 2, size[0])):
        start = min(max(round(centre - side / 2), 0), max(length - side, 0))
        edges.append((start, min(start + side, length)))
    (left, right), (top, bottom) = edges
    return Box(left, top, right, bottom)


def _cut(one: Instance, window: Box) -> Instance:
    mask = np.ascontiguousarray(one.mask[window.y0 : window.y1, window.x0 : window.x1])
    xs = [min(max(edge, window.x0), window.x1) - window.x0 for edge in one.box[0::2]]
    ys = [min(max(edge, window.y0), window.y1) - window.y0 for edge in one.box[1::2]]
    return Instance(one.label, (float(xs[0]), float(ys[0]), float(xs[1]), float(ys[1])), mask, one.crowd)


def _decoded(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    return decode_image(plain_image(path.read_bytes()), as_stored=True)
