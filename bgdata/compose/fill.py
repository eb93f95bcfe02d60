"""Removing a foreground: the hole that it leaves, what a filler is, and the fillers that need no network.

ForAug's recipe (Nauen et al. 2025) is `{method: lama, dilate: foraug, at: photo}`, with `edge: hard` where foregrounds
are pasted; it leaves out what covered more than 0.8 of its photo, which is `max_foreground: 0.8`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageFilter

from bgdata.errors import InputError
from bgdata.geometry import mask_box

Method = Literal["telea", "navier_stokes"]
_METHODS: dict[Method, int] = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}
_FORAUG_BLUR = 7


@runtime_checkable
class Filler(Protocol):
    """Anything that fills holes in images."""

    def fill(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], holes: Sequence[Bool[np.ndarray, "_ _"]]
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Each image with its hole filled; outside of it the pixels are the image's own, to the bit.

        An answer depends on its image and hole alone. Sizes may differ within a call.

        Raises InputError where a hole covers its whole image.
        """


@dataclass(frozen=True)
class OpenCvFiller:
    """Inpainting by OpenCV: the surroundings continued inwards; smooth in large holes."""

    method: Method
    radius: float

    def fill(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], holes: Sequence[Bool[np.ndarray, "_ _"]]
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Fill each hole; see `Filler`."""
        return [
            continue_surroundings(image, hole, method=self.method, radius=self.radius)
            for image, hole in zip(images, holes, strict=True)
        ]


def hole_of(mask: Bool[np.ndarray, "h w"], dilate: int | Literal["foraug"]) -> Bool[np.ndarray, "h w"]:
    """A mask dilated by a disc of so many pixels; `foraug`: wherever its blurred picture is not black.

    The blur is PIL's own. It rounds to grey levels between its passes, so that it reaches 18 pixels beside a straight
    edge and fewer around what is small: no dilation by one shape does the same.

    Source: ForAug (Nauen et al. 2025), `GaussianBlur(radius=7)` of the mask at the photo's size, then > 0.
    """
    if dilate == "foraug":
        picture = Image.fromarray(mask.view(np.uint8) * np.uint8(255))
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(_FORAUG_BLUR))) > 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * dilate + 1, 2 * dilate + 1))
    return cv2.dilate(mask.view(np.uint8), disc).astype(bool)


def continue_surroundings(
    image: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"], *, method: Method, radius: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Fill a hole from what surrounds it, weighing what lies within `radius` pixels; nothing under it matters.

    Source: Telea 2004; Bertalmio et al. 2001 (Navier-Stokes); both as OpenCV has them, which rounds the radius, to 1
    at least and 100 at most.

    Raises InputError where the hole covers the whole image.
    """
    check_hole(hole)
    filled = image.copy()
    box = mask_box(hole)
    if box is None:
        return filled
    # No pixel further away is looked at: the answer is the whole image's, in less time.
    reach = ceil(radius) + 1
    rows, columns = (slice(max(low - reach, 0), high + reach) for low, high in ((box.y0, box.y1), (box.x0, box.x1)))
    around, inside = np.ascontiguousarray(image[rows, columns]), np.ascontiguousarray(hole[rows, columns])
    filled[rows, columns] = cv2.inpaint(_with_nearest(around, inside), inside.view(np.uint8), radius, _METHODS[method])
    return filled


def check_hole(hole: Bool[np.ndarray, "h w"]) -> None:
    """Raise InputError where a hole covers its whole image."""
    if hole.all():
        height, width = hole.shape
        raise InputError(
            f"the hole covers the whole image ({height}x{width}, height x width): nothing is left to fill it from; "
            "leave the image out, or dilate its mask less"
        )


def _with_nearest(image: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image with the nearest pixel outside the hole in place of each inside.

    OpenCV takes an image's outermost pixels for known, and reads some others under a hole: what stood there would be
    continued over all of it.
    """
    _, nearest = cv2.distanceTransformWithLabels(hole.view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known, inside = np.flatnonzero(~hole), np.flatnonzero(hole)
    source = np.zeros(int(nearest.max()) + 1, np.intp)
    source[nearest.ravel()[known]] = known
    pixels = image.reshape(-1, 3).copy()
    pixels[inside] = pixels[source[nearest.ravel()[inside]]]
    return pixels.reshape(image.shape)
