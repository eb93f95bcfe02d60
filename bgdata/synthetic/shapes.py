"""Vector drawing: parts made of outlines and marks, and their rendering to an antialiased sprite.

A drawing is a list of `Part`s in free units (x right, y down), painted in order. Sizes are settled only when it is
rendered, so that a drawing can be fitted to a wanted box.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Number = int | float
Colour = tuple[Number, Number, Number]
Points = Float[np.ndarray, "_ 2"]
Affine = Float[np.ndarray, "2 3"]

_SHIFT = 4  # fractional bits of OpenCV's fixed point coordinates
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Mark:
    """Lines (`width` > 0, in drawing units) or filled polygons (`width` 0) of one colour inside a part."""

    shapes: tuple[np.ndarray, ...]
    colour: Colour
    width: float = 0.0


@dataclass(frozen=True)
class Part:
    """A filled outline with marks clipped to it; `roundness` 0 is flat, 1 shades it like a pillow."""

    outline: Points
    colour: Colour
    marks: tuple[Mark, ...] = ()
    roundness: float = 0.8


@dataclass(frozen=True)
class Sprite:
    """A rendered drawing: premultiplied RGB and alpha, and the scene pixel (x, y) of its upper left corner."""

    colour: UInt8[np.ndarray, "h w 3"]
    alpha: UInt8[np.ndarray, "h w"]
    corner: tuple[int, int]


def points(*pairs: Sequence[Number]) -> Points:
    """Return the (x, y) pairs as an array `n 2`."""
    return np.asarray(pairs, dtype=np.float64)


def ellipse(x: Number, y: Number, rx: Number, ry: Number, *, angle: Number = 0) -> Points:
    """Return the outline of an ellipse about (x, y) with radii rx, ry, turned by `angle` degrees (clockwise)."""
    turns = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    ring = np.stack([rx * np.cos(turns), ry * np.sin(turns)], axis=1)
    return ring @ _rotation(angle).T + (x, y)


def curve(knots: Points, *, closed: bool = False, steps: int = 6) -> Points:
    """Return a Catmull-Rom curve through the knots, `steps` samples a span."""
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    spans = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    path = spans.reshape(-1, 2)
    return path if closed else np.concatenate([path, knots[-1:]])


def blob(*pairs: Sequence[Number]) -> Points:
    """Return the smooth closed outline through the (x, y) pairs."""
    return curve(points(*pairs), closed=True)


def limb(knots: Points, radii: Sequence[Number]) -> Points:
    """Return the outline of a tapered stroke along a smooth curve: `radii[i]` is the half width at knot i."""
    path = curve(knots)
    half = np.interp(np.linspace(0, len(radii) - 1, len(path)), np.arange(len(radii)), radii)[:, None]
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    start, end = path[:1] - along[:1] * half[:1] * 0.8, path[-1:] + along[-1:] * half[-1:] * 0.8
    return np.concatenate([start, path + across * half, end, (path - across * half)[::-1]])


def placed(parts: Iterable[Part], *, shift: Sequence[Number], angle: Number = 0, scale: Number = 1) -> list[Part]:
    """Return the parts scaled, turned by `angle` degrees about their origin and then moved by `shift`."""
    matrix = np.concatenate([scale * _rotation(angle), np.reshape(shift, (2, 1))], axis=1)
    return [_transformed(part, matrix) for part in parts]


def fitted_affine(
    parts: Sequence[Part], *, angle: float, mirrored: bool, longer_side: float
) -> tuple[Affine, tuple[float, float]]:
    """Return the transform that turns, mirrors and scales a drawing so that its box starts at (0, 0).

    The box's longer side is `longer_side` pixels; the second value is the box's (height, width) in pixels.
    """
    linear = _rotation(angle) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    outline = np.concatenate([part.outline for part in parts]) @ linear.T
    low, high = outline.min(axis=0), outline.max(axis=0)
    scale = longer_side / float((high - low).max())
    affine = scale * np.concatenate([linear, -low[:, None]], axis=1)
    width, height = scale * (high - low)
    return affine, (float(height), float(width))


def render(parts: Sequence[Part], affine: Affine) -> Sprite:
    """Paint the parts, transformed to scene pixels by `affine`, with 2 x 2 oversampling."""
    affine = affine.copy()
    outline = np.concatenate([part.outline for part in parts]) @ affine[:, :2].T + affine[:, 2]
    corner = np.floor(outline.min(axis=0)).astype(int) - 2
    width, height = np.ceil(outline.max(axis=0)).astype(int) + 2 - corner
    affine[:, 2] -= corner
    shape = (int(height) * _OVERSAMPLING, int(width) * _OVERSAMPLING)
    colour, alpha = np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    for part in parts:
        _paint(_transformed(part, affine * _OVERSAMPLING), colour=colour, alpha=alpha)
    small = (int(width), int(height))
    return Sprite(
        colour=cv2.resize(colour, small, interpolation=cv2.INTER_AREA),
        alpha=cv2.resize(alpha, small, interpolation=cv2.INTER_AREA),
        corner=(int(corner[0]), int(corner[1])),
    )


def spread(sprite: Sprite, size: tuple[int, int]) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """Return the sprite's premultiplied colour and alpha on an empty frame of `size` (height, width), cut to it."""
    colour, alpha = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    x, y = sprite.corner
    height, width = sprite.alpha.shape
    top, bottom = max(y, 0), min(y + height, size[0])
    left, right = max(x, 0), min(x + width, size[1])
    if top < bottom and left < right:
        inside = (slice(top - y, bottom - y), slice(left - x, right - x))
        colour[top:bottom, left:right] = sprite.colour[inside]
        alpha[top:bottom, left:right] = sprite.alpha[inside]
    return colour, alpha


def fixed_point(outline: np.ndarray) -> np.ndarray:
    """Return pixel coordinates as OpenCV's fixed point int32, for drawing with `shift=4`."""
    return np.rint(outline * (1 << _SHIFT)).astype(np.int32)


def _paint(part: Part, *, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Paint one part, given in canvas pixels, onto the canvas in place."""
    low = np.maximum(np.floor(part.outline.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(part.outline.max(axis=0)).astype(int) + 2, (alpha.shape[1], alpha.shape[0]))
    width, height = high - low
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [fixed_point(part.outline - low)], 255, shift=_SHIFT)
    layer = np.empty((height, width, 3), np.uint8)
    layer[:] = np.clip(part.colour, 0, 255)
    for mark in part.marks:
        _paint_mark(layer, mark, offset=low)
    if part.roundness > 0:
        layer = _pillow_shaded(layer, mask, roundness=part.roundness)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    cv2.copyTo(layer, mask, colour[window])
    np.bitwise_or(alpha[window], mask, out=alpha[window])


def _paint_mark(layer: np.ndarray, mark: Mark, *, offset: np.ndarray) -> None:
    """Draw one mark onto a part's layer in place."""
    shapes = [fixed_point(shape - offset) for shape in mark.shapes]
    if mark.width == 0:
        for shape in shapes:  # one call a polygon: fillPoly on a list leaves holes where two overlap
            cv2.fillPoly(layer, [shape], mark.colour, shift=_SHIFT)
    elif shapes:
        thickness = max(1, round(mark.width))
        cv2.polylines(layer, shapes, isClosed=False, color=mark.colour, thickness=thickness, shift=_SHIFT)


def _pillow_shaded(layer: np.ndarray, mask: np.ndarray, *, roundness: float) -> np.ndarray:
    """Return the layer lit from above as a soft solid: dark towards its border and its lower side."""
    height, width = mask.shape
    reach = max(1.0, 0.3 * min(height, width))
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    depth = cv2.sqrt(cv2.min(depth, reach) * np.float32(1 / reach))
    top_light = np.linspace(0.14, -0.16, height, dtype=np.float32)[:, None]
    light = 1 + np.float32(roundness) * (np.float32(0.42) * depth - np.float32(0.34) + top_light)
    return cv2.multiply(layer, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def _transformed(part: Part, affine: np.ndarray) -> Part:
    """Return the part under an affine map `2 3`; line widths follow its mean scale."""
    linear, shift = affine[:, :2], affine[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(linear))))
    marks = tuple(
        Mark(tuple(shape @ linear.T + shift for shape in mark.shapes), mark.colour, mark.width * scale)
        for mark in part.marks
    )
    return replace(part, outline=part.outline @ linear.T + shift, marks=marks)


def _rotation(angle: Number) -> np.ndarray:
    """Return the 2 x 2 matrix that turns by `angle` degrees, clockwise on the screen as y points down."""
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    return np.array([[cosine, -sine], [sine, cosine]])
