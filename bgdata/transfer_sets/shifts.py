"""Shifts of a set: the same images with the same annotations, corrupted, or before the backgrounds of others."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.compose.background import has_strip, tile_background
from bgdata.compose.fill import continue_surroundings, hole_of
from bgdata.compose.paste import paste_foreground
from bgdata.corrupt.corruptions import Corruption, corrupt_image
from bgdata.errors import InputError
from bgdata.geometry import mask_box, resize_pixels
from bgdata.randomness import image_generator
from bgdata.transfer_sets.base import BACKGROUND, CutSet, LabelledImage, TaskSet, digest_of

Fill = Literal["tiled", "telea"]
# Of the sides' mean: how far from a removed object's mask its pixels may still show.
_RIM = 0.02
# Partners that are looked at for an image; the first that shows enough background is taken.
_PARTNERS = 8
# Of an image: what its objects' box (tiled) or masks (telea) may cover in a preferred partner.
_MOST_COVERED = 0.5
_TELEA_RADIUS = 3.0


class Corrupted:
    """A set under a corruption, at each image's own resolution, as RGB; regions need masks (see `objects_mask`).

    The random numbers are of (seed, image id, corruption, severity) alone.
    """

    def __init__(self, data: TaskSet, corruption: Corruption, seed: int) -> None:
        self._data, self._corruption, self._seed = data, corruption, seed
        self.name = f"{data.name}/{corruption.folder}"
        self.task, self.split, self.categories, self.ids = data.task, data.split, data.categories, data.ids

    def read(self, image_id: str) -> LabelledImage:
        """Read an image and corrupt it; see `TaskSet`.

        Raises InputError also where it is smaller than corruptions need, or a region has no mask.
        """
        found = self._data.read(image_id)
        whole = self._corruption.region == "whole"
        mask = None if whole else objects_mask(found, self._data)
        try:
            image = corrupt_image(found.image, self._corruption, seed=self._seed, image_id=image_id, mask=mask)
        except InputError as error:
            raise InputError(f"{self._data.name}, image {image_id}: {error}") from None
        return replace(found, image=image)

    @property
    def digest(self) -> str:
        """Of the set, the corruption and the seed."""
        return digest_of([self._data.digest, self._corruption.folder, str(self._seed)])


class SwappedBackground:
    """A set in which each image's objects, crowds with them, stand before the background of another image.

    The objects are pasted hard, by their masks; annotations stay as they are. The other image is drawn among all by
    (seed, image id); of eight the first is taken of which its own objects hide less than half, else the one of which
    they hide least (an image without objects may be one). Its objects are removed first, then it is enlarged or
    reduced until it covers the frame, and cropped to its middle.

    `fill` says how objects are removed: `tiled` covers the box around all of them by the largest strip beside it (as
    `only_bg_t`), which leaves no outline behind; `telea` continues their surroundings over their masks, and is what is
    done where a box leaves no strip.

    Source: Xiao et al. 2021 (tiles); Telea 2004 (inpainting, by OpenCV).

    Raises InputError where the set has one image alone, or its pixels belong to no objects.
    """

    def __init__(self, data: TaskSet, seed: int, fill: Fill = "tiled") -> None:
        sources = {image_id: data.source(image_id) if isinstance(data, CutSet) else image_id for image_id in data.ids}
        self._sources, self._cut_from = sources, Counter(sources.values())
        if len(self._cut_from) < 2:
            raise InputError(f"{data.name} has one image alone: another one's background needs at least two")
        if data.task == "segmentation" and data.categories[:1] != (BACKGROUND,):
            raise InputError(
                f"{data.name} gives each pixel a class and none is {BACKGROUND}: backgrounds can be swapped in sets of "
                "objects alone"
            )
        self._data, self._seed, self._fill = data, seed, fill
        self.name = f"{data.name}/swapped_background"
        self.task, self.split, self.categories, self.ids = data.task, data.split, data.categories, data.ids
        self._positions = {image_id: position for position, image_id in enumerate(data.ids)}

    def read(self, image_id: str) -> LabelledImage:
        """Read an image and paste its objects on another one's background; see `TaskSet`."""
        found = self._data.read(image_id)
        mask = objects_mask(found, self._data)
        background = self._background(self._partner(image_id))
        fitted = _cover(background, (mask.shape[0], mask.shape[1]))
        return replace(found, image=paste_foreground(fitted, found.image, mask))

    def partner(self, image_id: str) -> str:
        """The image whose background an image gets."""
        return self._partner(image_id).id

    @property
    def digest(self) -> str:
        """Of the set, the seed and how objects are removed."""
        return digest_of([self._data.digest, "swapped_background", self._fill, str(self._seed)])

    def _partner(self, image_id: str) -> LabelledImage:
        """The first of the drawn images that shows enough background, else the one that shows most."""
        best, least = None, np.inf
        for candidate in self._drawn(image_id):
            found = self._data.read(candidate)
            covered = self._covered(objects_mask(found, self._data))
            if covered < least:
                best, least = found, covered
            if covered < _MOST_COVERED:
                break
        if best is None:
            raise InputError(
                f"{self._data.name}: the objects of all {min(_PARTNERS, len(self.ids) - 1)} images that were drawn for "
                f"{image_id} hide their whole backgrounds: take another seed, or a set with backgrounds"
            )
        return best

    def _drawn(self, image_id: str) -> Sequence[str]:
        """Other images' ids, none cut from the same larger one, in an order of the seed's and the image's own."""
        own, source = self._positions[image_id], self._sources[image_id]
        others, siblings = len(self.ids) - 1, self._cut_from[source] - 1
        rng = image_generator(self._seed, image_id, "transfer.swapped_background")
        places = rng.choice(others, min(_PARTNERS + siblings, others), replace=False)
        drawn = [self.ids[int(place) + (place >= own)] for place in places]
        return [one for one in drawn if self._sources[one] != source][:_PARTNERS]

    def _covered(self, mask: Bool[np.ndarray, "h w"]) -> float:
        """The share of an image that removing its objects changes; infinite where that leaves nothing."""
        rim = _with_rim(mask)
        box = mask_box(rim)
        if box is None:
            return 0.0
        if rim.all():
            return float(np.inf)
        return box.area / mask.size if self._fill == "tiled" else float(rim.mean())

    def _background(self, partner: LabelledImage) -> UInt8[np.ndarray, "h w 3"]:
        return remove_objects(partner.image, objects_mask(partner, self._data), self._fill)


def objects_mask(found: LabelledImage, data: TaskSet) -> Bool[np.ndarray, "h w"]:
    """The pixels of all objects of an image, crowds and what is void beside objects with them.

    Raises InputError where the image knows no masks.
    """
    if found.labels is not None and data.categories[:1] == (BACKGROUND,):
        return found.labels != 0
    mask = np.zeros(found.image.shape[:2], bool)
    for one in found.instances:
        mask |= one.mask
    if data.task != "detection" and not found.instances:
        raise InputError(
            f"{data.name}, image {found.id} has no masks of objects: only sets of objects have backgrounds"
        )
    return mask


def remove_objects(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], fill: Fill
) -> UInt8[np.ndarray, "h w 3"]:
    """The image without what its mask covers, nor a rim around it; see `SwappedBackground` for `fill`."""
    rim = _with_rim(mask)
    box = mask_box(rim)
    if box is None:
        return image
    if fill == "tiled" and has_strip(box, (mask.shape[0], mask.shape[1])):
        return tile_background(image, box)
    return continue_surroundings(image, rim, method="telea", radius=_TELEA_RADIUS)


def _with_rim(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return hole_of(mask, max(round(_RIM * sum(mask.shape) / 2), 1))


def _cover(image: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """The image in its own proportions, just as large as covers a frame of `size`, cropped to its middle."""
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(round(edge * scale), least) for edge, least in zip(image.shape[:2], size, strict=True))
    resized = resize_pixels(image, (height, width))
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return np.ascontiguousarray(resized[top : top + size[0], left : left + size[1]])
