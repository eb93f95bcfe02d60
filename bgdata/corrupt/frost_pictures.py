"""Pictures of frost, drawn: feathers of ice over one another on misted glass.

The published corruption pastes five photographs whose licence is unknown. These five stand for the same kinds of frost:
crumpled blue film, white needles, grey hoar, dark ferns on glass, green-blue feathers; each has about the brightness,
the contrast and the colours of the photograph in its place, and a spectrum that falls as theirs does.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

HEIGHT, WIDTH = 400, 600
# How far ice branches turn aside: its crystals have six sides.
_BRANCHING = math.radians(60)
# OpenCV draws at sixteenths of a pixel.
_SHIFT = 4


@dataclass(frozen=True)
class FrostPicture:
    """How one picture of frost is drawn; lengths in pixels."""

    # Places where ice began to grow, how many arms each has, and in what angle they lie, in turns.
    seeds: int
    arms: int
    fan: float
    # An arm's shortest and longest length, the longest barb's share of it, the space between barbs.
    length: tuple[int, int]
    barb: float
    spacing: float
    # How much brighter than its body an arm's lines are, in grey levels.
    line: int
    # How strongly show: relief, clouds, creases of the film, grain.
    relief: float
    clouds: float
    creases: float
    grain: float
    # RGB of dark, middle and bright, and the mean and spread of what lies between them, in [0, 1].
    colours: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    mean: float
    spread: float


PICTURES = (
    FrostPicture(40, 4, 0.2, (30, 110), 0.10, 6.0, 28, 3.0, 0.16, 0.16, 0.035,
                 ((18, 100, 132), (84, 152, 168), (205, 218, 216)), 0.46, 0.13),
    FrostPicture(130, 6, 0.09, (40, 130), 0.06, 9.0, 40, 1.0, 0.16, 0.06, 0.03,
                 ((112, 104, 104), (203, 206, 215), (250, 252, 255)), 0.53, 0.18),
    FrostPicture(110, 5, 1.0, (8, 46), 0.42, 3.0, 95, 0.7, 0.10, 0.0, 0.11,
                 ((40, 52, 62), (140, 155, 168), (245, 248, 255)), 0.5, 0.15),
    FrostPicture(110, 4, 0.6, (20, 95), 0.36, 3.5, 100, 0.7, 0.14, 0.0, 0.035,
                 ((26, 34, 46), (110, 122, 136), (250, 252, 255)), 0.46, 0.20),
    FrostPicture(45, 4, 0.3, (50, 180), 0.24, 4.0, 75, 1.0, 0.18, 0.02, 0.03,
                 ((8, 12, 18), (70, 98, 110), (190, 235, 240)), 0.45, 0.2),
)  # fmt: skip


@functools.cache
def draw_picture(number: int) -> UInt8[np.ndarray, "400 600 3"]:
    """One of the PICTURES, RGB: the same in each process."""
    style = PICTURES[number]
    rng = np.random.default_rng(number)
    clouds = _clouds(rng, cells=3)
    ice = np.clip(105 + 25 * clouds, 20, 220).astype(np.uint8)
    for _ in range(style.seeds):
        place, direction = rng.uniform((0, 0), (WIDTH, HEIGHT)), rng.uniform(0, 2 * math.pi)
        for turn in rng.uniform(-0.5, 0.5, style.arms):
            _draw_arm(ice, style, place + rng.normal(0, 4, 2), direction + 2 * math.pi * style.fan * turn, rng)
    tone = ice.astype(np.float32) / 255
    tone += style.clouds * _clouds(rng, cells=4)
    if style.creases:
        tone -= style.creases * np.abs(_clouds(rng, cells=16)) + style.creases / 3 * np.abs(_clouds(rng, cells=48))
    grain = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH), np.float32), (0, 0), 0.7)
    tone = tone + 2 * style.grain * grain
    tone = tone + style.relief * (tone - cv2.blur(tone, (3, 3), anchor=(2, 2)))
    return _coloured(style.mean + style.spread * (tone - tone.mean()) / tone.std(), style)


def _clouds(rng: np.random.Generator, *, cells: int) -> Float32[np.ndarray, "h w"]:
    """Smooth noise of `cells` a height and of finer ones, mean 0 and spread 1."""
    clouds = np.zeros((HEIGHT, WIDTH), np.float32)
    for finer in (1, 2, 4, 8):
        noise = rng.standard_normal((cells * finer, cells * finer * WIDTH // HEIGHT), np.float32)
        clouds += np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32) / finer**0.8
    return (clouds - clouds.mean()) / clouds.std()


def _draw_arm(
    ice: UInt8[np.ndarray, "h w"],
    style: FrostPicture,
    start: np.ndarray,
    direction: float,
    rng: np.random.Generator,
) -> None:
    """A curved stem with barbs at 60 degrees on both sides, each with barbs along the stem; one side lies in shadow."""
    length = math.exp(rng.uniform(*np.log(style.length)))
    count = max(4, round(length / style.spacing))
    along = np.linspace(0, 1, count)
    bent = direction + rng.uniform(-0.7, 0.7) * along
    stem = start + length / count * np.cumsum(_towards(bent), 0)
    x, y = np.clip(stem[count // 2], 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
    body = 0.7 * float(ice[y, x]) + 0.3 * rng.uniform(20, 170)
    taper = np.minimum(1, 4 * along + 0.1) * (1.03 - along) ** 0.8
    barb = (length * style.barb * taper * rng.uniform(0.4, 1.1, (2, count)))[..., None]
    aside = _towards(bent + np.array([[-1], [1]]) * (_BRANCHING + rng.normal(0, 0.07, (2, count))))
    for side in (0, 1):
        outline = np.concatenate((stem, (stem + 0.7 * barb[side] * aside[side])[::-1]))
        cv2.fillPoly(ice, [_fixed(outline)], body + 20 * math.sin(direction + 2 * side), cv2.LINE_AA, _SHIFT)
    starts, ends = [np.stack((stem, stem))], [stem + barb * aside]
    for share in (0.3, 0.55, 0.8) if style.barb > 0.2 else ():
        starts.append(stem + share * barb * aside)
        ends.append(starts[-1] + (0.45 - 0.4 * share) * barb * _towards(bent))
    lines = _fixed(np.stack((np.concatenate(starts), np.concatenate(ends)), -2)).reshape(-1, 2, 2)
    for first, light in enumerate((0.45, 0.7, 1.0)):
        bright = min(255.0, body + style.line * light * rng.uniform(0.6, 1.2))
        cv2.polylines(ice, list(lines[first::3]), False, bright, 1, cv2.LINE_AA, _SHIFT)
    cv2.polylines(ice, [_fixed(stem)], False, min(255.0, body + style.line), 1, cv2.LINE_AA, _SHIFT)


def _towards(angle: np.ndarray) -> np.ndarray:
    return np.stack((np.cos(angle), np.sin(angle)), -1)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def _coloured(tone: Float32[np.ndarray, "h w"], style: FrostPicture) -> UInt8[np.ndarray, "h w 3"]:
    levels = np.linspace(0, 1, 256)
    table = np.stack([np.interp(levels, (0, 0.5, 1), channel) for channel in zip(*style.colours, strict=True)], -1)
    grey = np.clip(tone * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(cv2.merge((grey, grey, grey)), np.rint(table).astype(np.uint8)[:, None])


@functools.lru_cache(len(PICTURES))
def enlarged_picture(number: int, factor: float) -> UInt8[np.ndarray, "h w 3"]:
    """A picture `factor` times as large, by bicubic interpolation; few factors are in use, so it is kept."""
    picture = draw_picture(number)
    size = [math.ceil(side * factor) for side in picture.shape[1::-1]]
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def fitted_picture(number: int, height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """A picture enlarged by a tenth, and so much more that it covers height x width."""
    return enlarged_picture(number, max(1, height / HEIGHT, width / WIDTH) * 1.1)
