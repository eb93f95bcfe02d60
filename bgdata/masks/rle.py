"""Masks as COCO writes them: polygons, which pycocotools rasterises, and run lengths.

pycocotools' own `decode` is not used: it gives what happened to lie in memory where the run lengths do not fill the
frame, and warns with each call under numpy 2.4.
"""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool
from pycocotools import mask as coco_mask

from bgdata.errors import InputError


def decode_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Rasterise polygons `[x0, y0, x1, y1, ...]` in pixels, joined, on a frame of `size` (height, width).

    Raises InputError as `check_polygons` does.
    """
    check_polygons(polygons, size)
    joined = coco_mask.merge(coco_mask.frPyObjects(list(polygons), *size))
    return _filled(_decompressed(joined["counts"].decode()), size)


def check_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> None:
    """Raise InputError where there is none, or one is not a flat list of at least three points on or near the frame."""
    if not polygons:
        raise InputError("the segmentation is an empty list; expected polygons")
    for polygon in polygons:
        if not _is_polygon(polygon, reach=2 * max(size)):
            raise InputError("broken polygon: expected a flat list of at least three points x, y on the image")


def decode_rle(rle: Mapping[str, Any], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Decode run lengths, as numbers or as COCO's compressed text, of a frame of `size` (height, width).

    Raises InputError as `check_run_lengths` does.
    """
    return _filled(check_run_lengths(rle, size), size)


def check_run_lengths(rle: Mapping[str, Any], size: tuple[int, int]) -> list[int]:
    """The run lengths as numbers.

    Raises InputError where they are broken, of another frame or do not fill it.
    """
    counts = rle.get("counts")
    if rle.get("size") != list(size):
        raise InputError(f"run lengths of the size {rle.get('size')}, its image is {list(size)} (height, width)")
    runs = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(type(run) in (int, float) and run >= 0 and run % 1 == 0 for run in runs):
        raise InputError("broken run lengths: expected numbers of 0 and more, or COCO's compressed text")
    if sum(runs) != size[0] * size[1]:
        raise InputError(f"the run lengths add up to {sum(runs)} pixels, its image has {size[0] * size[1]}")
    return [int(run) for run in runs]


def encode_polygons(mask: Bool[np.ndarray, "h w"]) -> list[list[int]] | None:
    """Trace a mask's pixels as polygons; None where polygons do not give it back to the pixel (it has holes, say)."""
    doubled = np.kron(mask, np.ones((2, 2), bool)).view(np.uint8)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # In the doubled mask a pixel's two edges are two points: halved and rounded up they are the edges' places.
    polygons = [((contour + 1) // 2).astype(int).ravel().tolist() for contour in contours]
    exact = bool(polygons) and np.array_equal(decode_polygons(polygons, (mask.shape[0], mask.shape[1])), mask)
    return polygons if exact else None


def encode_rle(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Encode a mask as compressed run lengths that JSON can hold."""
    rle = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def encode_runs(mask: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    """Encode a mask as run lengths in numbers: background first, down the columns."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    starts = np.concatenate([[0], edges, [pixels.size]])
    runs = np.diff(starts).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if pixels[0] else runs}


def _filled(runs: Sequence[int], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask of run lengths: background first, in turns, down the columns."""
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(pixels.reshape(size, order="F"))


def _is_polygon(polygon: Any, *, reach: int) -> bool:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        return False
    # pycocotools walks each edge pixel by pixel: a point far away would take all memory.
    return all(isinstance(edge, Real) and abs(float(edge)) <= reach for edge in polygon)


def _decompressed(text: str) -> list[int]:
    """The run lengths of COCO's text: six bits a letter, low ones first; from the third on, less the last but one.

    Raises InputError where the text ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode():
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise InputError("broken run lengths: the compressed text ends within a number")
    return runs
