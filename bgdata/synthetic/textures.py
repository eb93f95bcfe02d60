"""Colours shared by all classes, and the marks that give a part its surface: fur, stripes, spots, scales, grain."""

import colorsys
from collections.abc import Sequence

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Number, Points, curve, ellipse

_NATURAL: tuple[Colour, ...] = (
    (124, 82, 48), (186, 142, 92), (222, 196, 152), (138, 130, 122), (66, 60, 58), (176, 92, 42), (206, 150, 62),
    (112, 108, 62), (38, 34, 34), (232, 226, 214), (96, 54, 36), (158, 168, 170),
)  # fmt: skip
_VIVID: tuple[Colour, ...] = (
    (192, 44, 40), (44, 92, 172), (58, 132, 62), (232, 190, 50), (40, 148, 150), (122, 64, 146), (228, 122, 40),
    (226, 120, 142), (132, 178, 62), (28, 56, 96),
)  # fmt: skip


def coat(rng: np.random.Generator, *, vivid: float) -> Colour:
    """Draw a ground colour: with probability `vivid` a bright one, else a natural one, varied in hue and light."""
    table = _VIVID if rng.random() < vivid else _NATURAL
    return varied(table[int(rng.integers(len(table)))], rng, amount=1.0)


def varied(colour: Colour, rng: np.random.Generator, *, amount: float) -> Colour:
    """Return the colour with hue, saturation and brightness changed at random in proportion to `amount`."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(min(max(c, 0.0), 255.0) / 255 for c in colour))
    hue = (hue + amount * rng.normal(0, 0.025)) % 1
    saturation = float(np.clip(saturation * np.exp(amount * rng.normal(0, 0.2)), 0, 1))
    value = float(np.clip(value * np.exp(amount * rng.normal(0, 0.15)), 0.08, 1))
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def toned(colour: Colour, factor: float) -> Colour:
    """Return the colour darker (factor < 1) or, towards white, lighter (factor > 1)."""
    if factor <= 1:
        red, green, blue = (factor * c for c in colour)
        return red, green, blue
    return mixed(colour, (255.0, 255.0, 255.0), min(1.0, factor - 1))


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies `share` of the way from the first to the second."""
    red, green, blue = ((1 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def contrasting(colour: Colour, rng: np.random.Generator) -> Colour:
    """Return a pattern colour that can be told from its ground: dark on light, light on dark."""
    bright = sum(colour) / 3 > 95
    return toned(colour, rng.uniform(0.15, 0.4)) if bright else toned(colour, rng.uniform(1.45, 1.8))


def fur(
    rng: np.random.Generator, outline: Points, colour: Colour, *, lean: Sequence[Number] = (-0.8, 0.5)
) -> tuple[Mark, ...]:
    """Return short strokes of three tones over the outline's box, about along the direction `lean`."""
    low, extent = _box(outline)
    length = 0.09 * float(extent.max()) ** 0.5
    marks = []
    for tone in (0.72, 0.86, 1.18):
        roots = low + rng.random((34, 2)) * extent
        tips = roots + (np.asarray(lean) + rng.normal(0, 0.25, (34, 2))) * length
        strokes = tuple(np.stack([roots, tips], axis=1))
        marks.append(Mark(strokes, toned(colour, tone), width=0.012))
    return tuple(marks)


def stripes(rng: np.random.Generator, outline: Points, colour: Colour, *, count: int = 9) -> tuple[Mark, ...]:
    """Return tapering upright stripes that enter from the back and from the belly."""
    low, extent = _box(outline)
    wedges = []
    for i in range(count):
        x = low[0] + extent[0] * (i + 0.5 + rng.uniform(-0.2, 0.2)) / count
        half = extent[0] / count * rng.uniform(0.13, 0.26)
        from_top = i % 4 != 3
        y0, y1 = (low[1], low[1] + extent[1] * rng.uniform(0.55, 0.95))[:: 1 if from_top else -1]
        bend = rng.uniform(-0.5, 1.2) * half
        middle = (y0 + y1) / 2
        wedges.append(
            curve(
                np.array(
                    [
                        [x - half, y0],
                        [x - half * 0.6 + bend, middle],
                        [x - bend, y1],
                        [x + half + bend, middle],
                        [x + half, y0],
                    ]
                )
            )
        )
    return (Mark(tuple(wedges), colour),)


def spots(rng: np.random.Generator, outline: Points, colour: Colour, *, count: int, radius: float) -> tuple[Mark, ...]:
    """Return round spots, spread evenly enough over the outline's box; `radius` in drawing units."""
    low, extent = _box(outline)
    sites = np.stack([(np.arange(count) + rng.random()) * 0.618034 % 1, (np.arange(count) + 0.5) / count], axis=1)
    discs = []
    for site in low + (sites + rng.normal(0, 0.02, sites.shape)) * extent:
        rx, ry = radius * rng.uniform(0.55, 1.2, 2)
        discs.append(ellipse(float(site[0]), float(site[1]), rx, ry, angle=rng.uniform(0, 90)))
    return (Mark(tuple(discs), colour),)


def scales(outline: Points, colour: Colour, *, pitch: float, width: float = 0.01) -> tuple[Mark, ...]:
    """Return rows of arcs, every other row moved by half a pitch, like fish scales or feathers."""
    low, extent = _box(outline)
    turns = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 6)
    arc = np.stack([np.cos(turns), np.sin(turns)], axis=1) * pitch * 0.55
    columns, rows = np.ceil(extent / (0.8 * pitch, pitch)).astype(int) + 1
    sites = [(0.8 * i, j + 0.5 * (i % 2)) for i in range(columns) for j in range(rows)]
    arcs = tuple(arc + low + pitch * np.array(site) for site in sites)
    return (Mark(arcs, colour, width),)


def grain(rng: np.random.Generator, outline: Points, colour: Colour, *, count: int = 14) -> tuple[Mark, ...]:
    """Return long wavy lines along the outline's longer side, like wood."""
    low, extent = _box(outline)
    along = int(np.argmax(extent))
    lines = []
    for share in (np.arange(count) + rng.random(count)) / count:
        path = np.empty((12, 2))
        path[:, along] = low[along] + np.linspace(0, 1, 12) * extent[along]
        wave = 0.015 * np.sin(np.linspace(0, rng.uniform(2, 7), 12) + rng.uniform(0, 6))
        path[:, 1 - along] = low[1 - along] + (share + wave) * extent[1 - along]
        lines.append(path)
    return (Mark(tuple(lines), colour, 0.01),)


def speckle(rng: np.random.Generator, outline: Points, colour: Colour, *, count: int = 40) -> tuple[Mark, ...]:
    """Return small dots lighter and darker than the colour."""
    low, extent = _box(outline)
    marks = []
    for tone in (0.75, 1.25):
        dots = low + rng.random((count, 2)) * extent
        shapes = tuple(np.stack([dots, dots + 0.012], axis=1))
        marks.append(Mark(shapes, toned(colour, tone), 0.02))
    return tuple(marks)


def _box(outline: Points) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline's lower corner and extent, each (x, y)."""
    low = outline.min(axis=0)
    return low, outline.max(axis=0) - low
