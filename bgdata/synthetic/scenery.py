"""The nine sceneries, one natural to each class, and the choice of a scene's scenery."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from bgdata.synthetic import closeups, landscapes, wilds

SCENERY_NAMES = ("lawn", "sky", "road", "desert", "snow or savanna", "leaves", "room", "jungle", "under water")

_DRAW: tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], ...] = (
    landscapes.draw_lawn,
    landscapes.draw_sky,
    landscapes.draw_road,
    wilds.draw_desert,
    wilds.draw_snow_or_savanna,
    closeups.draw_leaves,
    closeups.draw_room,
    wilds.draw_jungle,
    closeups.draw_under_water,
)


def choose_scenery(label: int, *, bias: float, rng: np.random.Generator) -> int:
    """Draw a scenery (0..8): the class's own with probability `bias`, else one of the other eight, each as likely."""
    if not 0 <= bias <= 1:
        raise ValueError(f"bias must be a probability in [0, 1], got {bias}")
    if rng.random() < bias:
        return label
    return (label + int(rng.integers(1, len(_DRAW)))) % len(_DRAW)


def draw_scenery(scenery: int, size: tuple[int, int], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    """Draw a full-frame background of `size` (height, width) pixels, RGB."""
    if not 0 <= scenery < len(_DRAW):
        raise ValueError(f"scenery must be 0..8, got {scenery}")
    return _DRAW[scenery](rng, size)
