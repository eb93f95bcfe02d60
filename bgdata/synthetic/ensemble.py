"""Several drawn objects before one scenery, or one that moves across it, each with its true mask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.randomness import image_generator
from bgdata.synthetic.objects import Kind
from bgdata.synthetic.scene import (
    GROUNDED,
    camouflaged,
    cast_shadow,
    overlay,
    photographed,
    side_lit,
    strew,
)
from bgdata.synthetic.scenery import SCENERY_NAMES, draw_scenery
from bgdata.synthetic.shapes import Affine, Part, fitted_affine, render, spread

_LONGEST_ASPECT = 4 / 3


@dataclass(frozen=True)
class Actor:
    """An object in its pose: its drawing, its centre (x, y) and longer side in pixels, its turn in degrees."""

    parts: list[Part]
    centre: tuple[float, float]
    side: float
    angle: float
    mirrored: bool


@dataclass(frozen=True)
class Ensemble:
    """A drawn photo: RGB, and for each actor what shows of it; the masks do not overlap."""

    image: UInt8[np.ndarray, "h w 3"]
    masks: tuple[Bool[np.ndarray, "h w"], ...]


def draw_group(kinds: Sequence[Kind], *, name: str, size: int, difficulty: float, seed: int) -> Ensemble:
    """Draw none, one or two objects side by side; the frame's shorter side is `size` pixels.

    The drawing depends on the arguments alone.
    """
    rng = image_generator(seed, name, "group")
    height, width = frame = _frame(size, rng)
    if len(kinds) < 2:
        share, spots = 0.65, [(0.5, 0.5)]
    else:
        share, spots = 0.5, [(0.28, 0.5), (0.72, 0.5)] if width > height else [(0.5, 0.28), (0.5, 0.72)]
    actors = [
        _pose(kind, centre=(x * width, y * height), side=share * size, difficulty=difficulty, rng=rng)
        for kind, (x, y) in zip(kinds, spots, strict=False)
    ]
    return draw_ensemble(actors, size=frame, difficulty=difficulty, rng=rng)


def draw_walk(kind: Kind, *, steps: int, name: str, size: int, difficulty: float, seed: int) -> Iterator[Ensemble]:
    """Draw the frames of an object that moves across one scenery and sways; see `draw_group`."""
    rng = image_generator(seed, name, "walk")
    height, width = frame = (size, round(size * _LONGEST_ASPECT))
    actor = _pose(kind, centre=(width / 2, height / 2), side=0.55 * size, difficulty=difficulty, rng=rng)
    for step in range(steps):
        way = (step + 0.5) / steps - 0.5  # -0.5 to 0.5
        turn, lift = 6 * np.sin(2.5 * step), 0.03 * height * np.cos(2.5 * step)
        x, y = actor.centre
        moved = replace(actor, centre=(x + 0.4 * width * way, y + lift), angle=actor.angle + turn)
        # The same state in each frame: the same scenery, light and camera.
        still = image_generator(seed, name, "still")
        yield draw_ensemble([moved], size=frame, difficulty=difficulty, rng=still)


def draw_ensemble(
    actors: Sequence[Actor], *, size: tuple[int, int], difficulty: float, rng: np.random.Generator
) -> Ensemble:
    """Draw actors, the later ones before the earlier, before a scenery of `size` (height, width) pixels."""
    scenery = int(rng.integers(len(SCENERY_NAMES)))
    image = draw_scenery(scenery, size, rng)
    strew(rng, image, scenery, count=int(rng.integers(0, 1 + round(10 * difficulty))))
    masks: list[np.ndarray] = []
    for actor in actors:
        colour, alpha = spread(render(actor.parts, _affine(actor)), size)
        colour = camouflaged(colour, alpha, image, share=difficulty * rng.uniform(0, 0.55))
        colour = side_lit(colour, rng)
        cast_shadow(rng, image, alpha, flat=scenery in GROUNDED)
        overlay(image, colour, alpha)
        masks = [*(mask & (alpha < 128) for mask in masks), alpha >= 128]
    return Ensemble(photographed(rng, image, difficulty=difficulty), tuple(masks))


def _frame(size: int, rng: np.random.Generator) -> tuple[int, int]:
    longer = round(size * rng.uniform(1, _LONGEST_ASPECT))
    return (size, longer) if rng.random() < 0.5 else (longer, size)


def _pose(
    kind: Kind, *, centre: tuple[float, float], side: float, difficulty: float, rng: np.random.Generator
) -> Actor:
    """Draw an object of a kind near `centre`, its longer side up to `side` pixels."""
    return Actor(
        kind.draw(rng),
        centre=(centre[0] + side * rng.uniform(-0.1, 0.1), centre[1] + side * rng.uniform(-0.1, 0.1)),
        side=side * rng.uniform(0.8 - 0.3 * difficulty, 1),
        angle=rng.uniform(-1, 1) * (8 + 12 * difficulty),
        mirrored=bool(rng.random() < 0.5),
    )


def _affine(actor: Actor) -> Affine:
    affine, (height, width) = fitted_affine(
        actor.parts, angle=actor.angle, mirrored=actor.mirrored, longer_side=actor.side
    )
    affine[:, 2] += (actor.centre[0] - width / 2, actor.centre[1] - height / 2)
    return affine
