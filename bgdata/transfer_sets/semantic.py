"""Segmentation: a class for each pixel, from painted objects, or from masks whose values are indices of classes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from bgdata.errors import InputError
from bgdata.io import decode_palette
from bgdata.segmentation_sets.unusable import Unusable
from bgdata.transfer_sets.base import (
    BACKGROUND,
    VOID,
    Instance,
    LabelledImage,
    TaskSet,
    check_same_size,
    digest_of,
    digest_of_files,
    read_file,
    read_photo_file,
)


class PaintedObjects:
    """A detection set as a segmentation: `background`, and its categories painted in the order of their masks' areas,
    the largest first, so that no object hides a smaller one; crowds are painted as their category.

    Raises InputError where it has more categories than a mask can tell apart.
    """

    task = "segmentation"

    def __init__(self, objects: TaskSet) -> None:
        self._objects = objects
        self.name, self.split, self.ids = objects.name, objects.split, objects.ids
        self.categories = (BACKGROUND, *objects.categories)
        if len(self.categories) > VOID:
            raise InputError(f"{self.name} has {len(objects.categories)} categories, expected {VOID - 1} at most")

    def read(self, image_id: str) -> LabelledImage:
        """Decode an image and paint its objects; see `TaskSet`."""
        found = self._objects.read(image_id)
        return LabelledImage(image_id, found.image, labels=_painted(found.instances, found.image.shape[:2]))

    @property
    def digest(self) -> str:
        """Of the objects' set."""
        return digest_of([self.task, self._objects.digest])


class Pair(NamedTuple):
    """A photo and its mask."""

    photo: Path
    mask: Path


class MaskedPhotos:
    """Photos of the folder `root` with a mask of indices beside each; `labels` says which label an index is.

    Raises InputError where there is none.
    """

    task = "segmentation"

    def __init__(
        self,
        root: Path,
        pairs: Mapping[str, Pair],
        *,
        name: str,
        split: str,
        categories: tuple[str, ...],
        labels: Mapping[int, int],
        unusable: Sequence[Unusable] = (),
    ) -> None:
        self.name, self.split, self.categories = f"{name}/{split}", split, categories
        self._pairs, self._labels, self.unusable = dict(pairs), dict(labels), tuple(unusable)
        self.ids: Sequence[str] = tuple(self._pairs)
        if not self.ids:
            raise InputError(f"{root} has no photo with a mask: fetch the set again")

    def read(self, image_id: str) -> LabelledImage:
        """Decode a photo and its mask; see `TaskSet`.

        Raises InputError also where the mask holds an index beyond the list of classes.
        """
        pair = self._pairs[image_id]
        image = read_photo_file(pair.photo)
        indices = read_file(pair.mask, lambda path: decode_palette(path.read_bytes()))
        check_same_size(pair.photo, image, indices.shape, what=f"its mask {pair.mask.name}")
        self._check_indices(pair.mask, indices)
        return LabelledImage(image_id, image, labels=self._table[indices])

    @cached_property
    def digest(self) -> str:
        """Of the classes, and of the photos' and masks' names and sizes."""
        files = (entry for name, pair in self._pairs.items() for entry in ((name, pair.photo), (name, pair.mask)))
        indices = str(sorted(self._labels.items()))
        return digest_of([self.task, *self.categories, indices, digest_of_files(files)])

    @cached_property
    def _table(self) -> UInt8[np.ndarray, "256"]:
        table = np.full(256, VOID, np.uint8)
        for index, label in self._labels.items():
            table[index] = label
        return table

    def _check_indices(self, path: Path, indices: UInt8[np.ndarray, "h w"]) -> None:
        beyond = set(np.flatnonzero(np.bincount(indices.ravel())).tolist()) - self._labels.keys()
        if beyond:
            known = [index for index, label in self._labels.items() if label != VOID]
            raise InputError(
                f"{path} holds the index {min(beyond)}, which is none of the {len(known)} classes of {self.name} "
                f"({min(known)} to {max(known)}): mend the mask, or the list of classes"
            )


def _painted(instances: Sequence[Instance], size: tuple[int, ...]) -> UInt8[np.ndarray, "h w"]:
    labels = np.zeros(size, np.uint8)
    for one in sorted(instances, key=lambda one: -int(one.mask.sum())):
        labels[one.mask] = one.label + 1
    return labels
