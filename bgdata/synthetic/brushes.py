"""Strokes and noise on a full frame. Frame units: the shorter side is 1, x to the right, y down."""

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from bgdata.synthetic.shapes import Colour, Number, Points, fixed_point

Frame = UInt8[np.ndarray, "h w 3"]


def extent(frame: Frame) -> tuple[float, float]:
    """Return the frame's (width, height) in frame units."""
    height, width = frame.shape[:2]
    unit = min(height, width)
    return width / unit, height / unit


def fractal_noise(
    rng: np.random.Generator, size: tuple[int, int], *, cells: int, octaves: int = 3, stretch: float = 1.0
) -> Float32[np.ndarray, "h w"]:
    """Return smooth value noise in [0, 1]: `cells` across the shorter side, halved at each octave.

    `stretch` > 1 draws the noise out horizontally.
    """
    height, width = size
    unit = min(size)
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        pitch = cells * 2**octave
        rows, columns = max(2, round(pitch * height / unit)), max(2, round(pitch * width / unit / stretch))
        grid = rng.random((min(rows, height), min(columns, width)), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    return cv2.normalize(total, total, 0.0, 1.0, cv2.NORM_MINMAX)


def graded(size: tuple[int, int], top: Colour, bottom: Colour) -> Frame:
    """Return a new frame of `size` (height, width) that runs from the top colour to the bottom colour."""
    column = np.linspace(np.asarray(top, float), np.asarray(bottom, float), size[0])
    return np.ascontiguousarray(np.broadcast_to(np.clip(column, 0, 255).astype(np.uint8)[:, None], (*size, 3)))


def mottled(frame: Frame, noise: Float32[np.ndarray, "h w"], *, amount: float, top: float = 0.0) -> None:
    """Brighten and darken the frame in place by noise in [0, 1]; only below the height `top` in frame units."""
    start = int(np.clip(top * min(frame.shape[:2]), 0, frame.shape[0] - 1))
    light = noise[start:] * np.float32(2 * amount) + np.float32(1 - amount)
    frame[start:] = cv2.multiply(frame[start:], cv2.merge([light] * 3), dtype=cv2.CV_8U)


def veiled(frame: Frame, weight: Float32[np.ndarray, "h w"], colour: Colour) -> None:
    """Blend a colour over the frame in place with the weight (clipped to [0, 1]) of each pixel."""
    weight = cv2.merge([np.clip(weight, 0, 1)] * 3)
    tint = np.asarray(colour, np.float32)
    frame[:] = (frame * (1 - weight) + tint * weight).astype(np.uint8)


def polygon(frame: Frame, outline: Points, colour: Colour) -> None:
    """Fill an outline, given in frame units, in place."""
    cv2.fillPoly(frame, [fixed_point(outline * min(frame.shape[:2]))], _capped(colour), lineType=cv2.LINE_AA, shift=4)


def box(frame: Frame, x0: Number, y0: Number, x1: Number, y1: Number, colour: Colour) -> None:
    """Fill an upright rectangle, given in frame units, in place."""
    polygon(frame, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), colour)


def lines(frame: Frame, paths: Iterable[Float[np.ndarray, "_ 2"]], colour: Colour, width: float) -> None:
    """Draw open polylines, given in frame units, in place; `width` in frame units, at least one pixel."""
    unit = min(frame.shape[:2])
    shapes = [fixed_point(path * unit) for path in paths]
    if shapes:
        thickness = max(1, round(width * unit))
        cv2.polylines(
            frame, shapes, isClosed=False, color=_capped(colour), thickness=thickness, lineType=cv2.LINE_AA, shift=4
        )


def disc(frame: Frame, x: Number, y: Number, radius: float, colour: Colour, *, width: float = 0.0) -> None:
    """Draw a disc, or with `width` a ring, given in frame units, in place."""
    unit = min(frame.shape[:2])
    centre = (round(x * unit * 16), round(y * unit * 16))
    thickness = max(1, round(width * unit)) if width else cv2.FILLED
    cv2.circle(frame, centre, round(radius * unit * 16), _capped(colour), thickness, cv2.LINE_AA, shift=4)


def blades(
    rng: np.random.Generator, frame: Frame, colours: Iterable[Colour], *, top: float, count: int, length: float
) -> None:
    """Draw upright blades of grass below the height `top`; those further down are longer."""
    wide, high = extent(frame)
    for colour in colours:
        depth = np.sort(rng.random(count))
        x, y = rng.uniform(0, wide, count), top + depth * (high - top) * 1.08
        reach = length * (0.3 + depth)
        tips = np.stack([x + rng.normal(0, 0.35, count) * reach, y - reach], axis=1)
        lines(frame, np.stack([np.stack([x, y], axis=1), tips], axis=1), colour, 0.005)


def ridge(rng: np.random.Generator, frame: Frame, y: float, height: float, *, rough: float = 0.0) -> Points:
    """Return the outline of a range of hills about the level y, closed along the frame's lower edge."""
    wide, high = extent(frame)
    x = np.linspace(-0.05, wide + 0.05, 40)
    phases, pace = rng.uniform(0, 6.3, 3), rng.uniform(0.7, 1.4)
    wave = sum(np.sin(pace * x * f * 2 + p) / f for f, p in zip((1, 2.3, 5.1), phases, strict=True))
    level = y - 0.5 * height * (wave + rough * rng.normal(0, 0.4, 40))
    return np.concatenate([np.stack([x, level], axis=1), [[wide + 0.05, high + 0.05], [-0.05, high + 0.05]]])


def softened(frame: Frame, radius: float) -> None:
    """Blur the frame in place; `radius` in frame units."""
    kernel = 2 * max(1, round(radius * min(frame.shape[:2]))) + 1
    frame[:] = cv2.blur(cv2.blur(frame, (kernel, kernel)), (kernel, kernel))


def _capped(colour: Colour) -> Colour:
    """Return the colour cut to the range of a byte."""
    red, green, blue = (float(min(max(c, 0.0), 255.0)) for c in colour)
    return red, green, blue
