"""Small distracting things of each scenery: stones, tufts, leaves, planks, bubbles. They may hide bits of an object."""

import numpy as np

from bgdata.synthetic.shapes import Colour, Mark, Part, blob, ellipse, limb, placed, points
from bgdata.synthetic.textures import coat, fur, spots, toned, varied

_GREEN: Colour = (82, 122, 58)


def draw_clutter(rng: np.random.Generator, scenery: int) -> list[Part]:
    """Draw one small thing that fits the scenery, about 1 unit across and standing on the origin."""
    makers = (_tuft, _twig, _stone, _stone, _tuft, _leaf, _crate, _leaf, _weed)
    if rng.random() < 0.3:
        return (_stone, _leaf, _crate, _ball)[int(rng.integers(4))](rng)
    return makers[scenery](rng)


def _tuft(rng: np.random.Generator) -> list[Part]:
    """Draw a tuft of grass."""
    tone = varied((150, 136, 70) if rng.random() < 0.5 else _GREEN, rng, amount=1.5)
    tips = rng.uniform((-0.6, -1.1), (0.6, -0.5), (7, 2))
    grass = [limb(points((0.15 * x, 0), (0.4 * x, 0.6 * y), (x, y)), (0.06, 0.05, 0.008)) for x, y in tips]
    return [Part(blade, toned(tone, rng.uniform(0.6, 1.2))) for blade in grass]


def _stone(rng: np.random.Generator) -> list[Part]:
    """Draw a rounded stone."""
    tone = varied((134, 126, 116), rng, amount=1.8)
    turns = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    radii = rng.uniform(0.38, 0.55, 7)
    outline = blob(*np.stack([radii * np.cos(turns), 0.7 * radii * np.sin(turns) - 0.2], axis=1).tolist())
    return [Part(outline, tone, spots(rng, outline, toned(tone, 0.8), count=6, radius=0.06), roundness=1.0)]


def _leaf(rng: np.random.Generator) -> list[Part]:
    """Draw a fallen leaf."""
    tone = varied(_GREEN if rng.random() < 0.6 else (172, 104, 52), rng, amount=2.0)
    outline = blob((-0.6, 0), (-0.2, -0.24), (0.25, -0.2), (0.65, 0), (0.25, 0.2), (-0.2, 0.24))
    ribs = tuple(points((x, 0), (x + 0.16, s * 0.3)) for x in (-0.35, -0.1, 0.15) for s in (-1, 1))
    marks = (Mark((points((-0.6, 0), (0.65, 0)), *ribs), toned(tone, 1.4), 0.03),)
    return placed([Part(outline, tone, marks, roundness=0.4)], shift=(0, -0.1), angle=rng.uniform(0, 360))


def _twig(rng: np.random.Generator) -> list[Part]:
    """Draw a twig with two leaves."""
    bark = varied((84, 64, 48), rng, amount=1.5)
    stem = Part(limb(points((-0.7, 0.1), (0, 0), (0.7, -0.2)), (0.06, 0.05, 0.02)), bark)
    leaves = placed(_leaf(rng), shift=(0.3, -0.2), scale=0.5) + placed(_leaf(rng), shift=(-0.2, 0.1), scale=0.5)
    return placed([stem, *leaves], shift=(0, 0), angle=rng.uniform(-40, 40))


def _crate(rng: np.random.Generator) -> list[Part]:
    """Draw a wooden crate."""
    tone = varied((164, 124, 80), rng, amount=1.5)
    outline = points((-0.45, 0.0), (-0.45, -0.75), (0.45, -0.75), (0.45, 0.0))
    boards = tuple(points((-0.5, y), (0.5, y)) for y in (-0.56, -0.37, -0.19))
    brace = (points((-0.45, 0), (0.45, -0.75)),)
    marks = (Mark(boards, toned(tone, 0.6), 0.025), Mark(brace, toned(tone, 0.8), 0.1))
    return [Part(outline, tone, marks, roundness=0.4)]


def _ball(rng: np.random.Generator) -> list[Part]:
    """Draw a ball or round fruit with a stripe."""
    tone = coat(rng, vivid=0.8)
    outline = ellipse(0, -0.4, 0.4, 0.4)
    return [Part(outline, tone, (Mark((points((-0.5, -0.3), (0.5, -0.5)),), toned(tone, 1.4), 0.12),), roundness=1.0)]


def _weed(rng: np.random.Generator) -> list[Part]:
    """Draw a soft water plant."""
    tone = varied(_GREEN if rng.random() < 0.6 else (186, 96, 92), rng, amount=2.0)
    parts = []
    for x in (-0.25, 0.0, 0.25):
        stem = limb(
            points((x, 0), (x + 0.15, -0.4), (x - 0.1, -0.8), (x + 0.05, -rng.uniform(1.0, 1.3))),
            (0.09, 0.1, 0.08, 0.02),
        )
        parts.append(Part(stem, toned(tone, rng.uniform(0.7, 1.2)), fur(rng, stem, tone, lean=(0, 1))))
    return parts
