"""What a segmenter is: photos in, a mask or a reason for each out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.io import decode_image
from bgdata.shards import ImageSet, Row


@dataclass(frozen=True)
class Photo:
    """One photo to segment: RGB, the box of its object in the photo's pixels (None where it has none), and what to look
    for, as one or more phrases (`("tench", "fish")`, in any spelling; none where nobody asks by text).
    """

    id: str
    label: int
    wnid: str
    image: UInt8[np.ndarray, "h w 3"]
    box: Box | None
    prompt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Detection:
    """One box that a detector proposed above its thresholds: xyxy in the photo's pixels (fractions stay).

    `score` is the detector's, `phrase` the part of the prompt that it matched; `mask_score` is the mask network's own
    estimate of its mask's IoU, None where the box was not kept.
    """

    box: tuple[float, float, float, float]
    phrase: str
    score: float
    mask_score: float | None = None


@dataclass(frozen=True)
class Candidate:
    """A mask that could be the photo's: what it is of (`all`, `box 2`, `box 1, mask 3`, `largest piece`), and the
    method's own score of it (None: it does not say).
    """

    mask: Bool[np.ndarray, "h w"]
    of: str
    score: float | None = None


@dataclass(frozen=True)
class Segmentation:
    """A mask of the photo's size and how sure the segmenter is (None: it does not say), or the reason for no mask.

    `detections` are the boxes behind it, best first, those that were not kept included. `candidates` are the masks that
    could stand in its place, in the method's order, `mask` itself first; none unless they were asked for.
    """

    mask: Bool[np.ndarray, "h w"] | None
    score: float | None = None
    reason: str | None = None
    detections: tuple[Detection, ...] = ()
    candidates: tuple[Candidate, ...] = ()


@runtime_checkable
class Segmenter(Protocol):
    """Anything that finds the foreground of photos; `name` goes into the manifest and the masks' `method` column."""

    @property
    def name(self) -> str:
        """The method's name in params.yaml."""

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment a batch; one answer a photo, in order, that depends on nothing but that photo."""


def read_photo(photos: ImageSet, row: Row) -> Photo:
    """Read and decode one photo of the set that ingest wrote; a photo without annotation has no box.

    Raises InputError, naming it, where OpenCV does not read it.
    """
    try:
        image = decode_image(photos.read(row))
    except InputError as error:
        raise InputError(f"photo {row.id} ({row.extra.get('source', row.name)}): {error}") from None
    return Photo(id=row.id, label=row.label, wnid=row.wnid, image=image, box=Box.from_cells(row.extra))
