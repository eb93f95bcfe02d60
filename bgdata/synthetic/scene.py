"""One scene: an object of a class before a scenery, with its true mask."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.synthetic.clutter import draw_clutter
from bgdata.synthetic.objects import Kind, kinds_of
from bgdata.synthetic.scenery import choose_scenery, draw_scenery
from bgdata.synthetic.shapes import Number, Part, Sprite, fitted_affine, placed, render, spread

# Later filters ask for a mask of 0.1 of its box and a box mostly inside the central 224/256: the drawing keeps clear.
_LEAST_FILL = 0.14
_CENTRAL = 224 / 256
GROUNDED = (0, 2, 3, 4, 6)  # sceneries on whose ground an object throws a flat shadow


@dataclass(frozen=True)
class Scene:
    """A drawn photo: RGB image, foreground mask (True = object), tight box xyxy (x1, y1 exclusive), class 0..8."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    box: tuple[int, int, int, int]
    label: int
    scenery: int
    wnid: str


def draw_scene(*, label: int, size: tuple[int, int], bias: float, difficulty: float, rng: np.random.Generator) -> Scene:
    """Draw a scene of a class: either of its kinds, on its own scenery with probability `bias`.

    `size` is (height, width) in pixels. `difficulty` in [0, 1] scales what makes a scene hard: small and turned
    objects, clutter before and behind them, object colours pulled towards the scenery's, colour casts, blur and noise.

    Raises ValueError for a label, bias or difficulty out of range.
    """
    kinds = kinds_of(label)
    kind = kinds[int(rng.integers(len(kinds)))]
    scenery = choose_scenery(label, bias=bias, rng=rng)
    return draw_kind(kind, scenery=scenery, size=size, difficulty=difficulty, rng=rng)


def draw_kind(kind: Kind, *, scenery: int, size: tuple[int, int], difficulty: float, rng: np.random.Generator) -> Scene:
    """Draw a scene of a given kind on a given scenery; see `draw_scene`."""
    if not 0 <= difficulty <= 1:
        raise ValueError(f"difficulty must lie in [0, 1], got {difficulty}")
    image = draw_scenery(scenery, size, rng)
    strew(rng, image, scenery, count=int(rng.integers(0, 1 + round(10 * difficulty))))
    colour, alpha = _posed_object(kind, size=size, difficulty=difficulty, rng=rng)
    colour = camouflaged(colour, alpha, image, share=difficulty * rng.uniform(0, 0.55))
    colour = side_lit(colour, rng)
    cast_shadow(rng, image, alpha, flat=scenery in GROUNDED)
    overlay(image, colour, alpha)
    mask = _half_hidden(rng, image, alpha >= 128, scenery, count=int(rng.integers(0, 1 + round(5 * difficulty))))
    image = photographed(rng, image, difficulty=difficulty)
    return Scene(image=image, mask=mask, box=tight_box(mask), label=kind.label, scenery=scenery, wnid=kind.wnid)


def tight_box(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the smallest box xyxy in pixels, x1 and y1 exclusive, that holds all of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        raise ValueError("an empty mask has no box: expected at least one foreground pixel")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _posed_object(
    kind: Kind, *, size: tuple[int, int], difficulty: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the object, posed and placed, as premultiplied colour `h w 3` and alpha `h w` over the whole frame."""
    while True:
        parts = kind.draw(rng)
        share = rng.uniform(0.5 - 0.25 * difficulty, 0.75 - 0.05 * difficulty)
        affine, extent = fitted_affine(
            parts,
            angle=rng.uniform(-1, 1) * (10 + 15 * difficulty),
            mirrored=bool(rng.random() < 0.5),
            longer_side=share * min(size),
        )
        affine[:, 2] += _place(rng, size, extent, overhang=0.03 * difficulty)
        sprite = render(parts, affine)
        if np.count_nonzero(sprite.alpha >= 128) >= _LEAST_FILL * extent[0] * extent[1]:
            return spread(sprite, size)


def _place(
    rng: np.random.Generator, size: tuple[int, int], extent: tuple[float, float], *, overhang: float
) -> tuple[float, float]:
    """Draw the (x, y) of the box's corner so that the box lies in the central crop, or `overhang` beyond its border."""
    unit = min(size)
    corner = []
    for frame, box in ((size[1], extent[1]), (size[0], extent[0])):
        reach = (_CENTRAL / 2 + overhang) * unit
        corner.append(rng.uniform(frame / 2 - reach, max(frame / 2 - reach, frame / 2 + reach - box)))
    return corner[0], corner[1]


def camouflaged(colour: np.ndarray, alpha: np.ndarray, image: np.ndarray, *, share: float) -> np.ndarray:
    """Return the object with its mean colour moved by `share` towards that of the scenery behind it."""
    solid = (alpha >= 128).view(np.uint8)
    shift = np.float32(share) * (_mean_colour(image, solid) - _mean_colour(colour, solid))
    moved = colour + (alpha[..., None] * np.float32(1 / 255)) * shift.astype(np.float32)
    return np.clip(moved, 0, alpha[..., None]).astype(np.uint8)


def _mean_colour(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of the pixels `h w 3` where the mask is not 0."""
    return np.divide(cv2.sumElems(cv2.copyTo(pixels, mask))[:3], cv2.countNonZero(mask))


def side_lit(colour: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the object's colours under light that falls off from one side of the frame to the other."""
    light = 1 + np.linspace(-1, 1, colour.shape[1], dtype=np.float32) * np.float32(rng.uniform(-0.3, 0.3))
    rows = np.broadcast_to(np.minimum(light, 1.12)[None, :, None], colour.shape)
    return cv2.multiply(colour, np.ascontiguousarray(rows), dtype=cv2.CV_8U)


def cast_shadow(rng: np.random.Generator, image: np.ndarray, alpha: np.ndarray, *, flat: bool) -> None:
    """Darken the image in place by the object's soft shadow: flat on the ground below it, else just behind it."""
    height, width = alpha.shape
    small = cv2.resize(alpha, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    if flat:
        x0, y0, x1, y1 = tight_box(small > 40)
        small = np.zeros_like(small)
        centre = (round((x0 + x1) / 2 + rng.uniform(-4, 4)), y1 - 1)
        cv2.ellipse(
            small, centre, (max(2, round(0.46 * (x1 - x0))), max(2, (y1 - y0) // 10)), 0, 0, 360, 255, cv2.FILLED
        )
    else:
        small = np.roll(small, (int(rng.integers(1, 3)), int(rng.integers(-2, 3))), axis=(0, 1))
    soft = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.6), (width, height), interpolation=cv2.INTER_LINEAR)
    light = 1 - soft.astype(np.float32) * np.float32(rng.uniform(0.2, 0.5) / 255)
    image[:] = cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def strew(rng: np.random.Generator, image: np.ndarray, scenery: int, *, count: int) -> None:
    """Draw `count` small things anywhere on the image, in place."""
    height, width = image.shape[:2]
    sites = rng.uniform((0, 0.25 * height), (width, height), (count, 2))
    sprite = _clutter(rng, scenery, sites, unit=min(height, width))
    if sprite is not None:
        overlay(image, *spread(sprite, (height, width)))


def _half_hidden(
    rng: np.random.Generator, image: np.ndarray, mask: Bool[np.ndarray, "h w"], scenery: int, *, count: int
) -> Bool[np.ndarray, "h w"]:
    """Draw `count` small things before the object's lower edge, in place, and return the mask of what still shows."""
    x0, y0, x1, y1 = tight_box(mask)
    sites = rng.uniform((x0, y1 - 0.06 * (y1 - y0)), (x1, y1 + 0.06 * (y1 - y0)), (count, 2))
    sprite = _clutter(rng, scenery, sites, unit=min(mask.shape) * min(1.0, 1.6 * (y1 - y0) / min(mask.shape)))
    if sprite is None:
        return mask
    colour, alpha = spread(sprite, (mask.shape[0], mask.shape[1]))
    shown = mask & (alpha < 128)
    if np.count_nonzero(shown) < max(0.8 * np.count_nonzero(mask), _LEAST_FILL * (x1 - x0) * (y1 - y0)):
        return mask  # too much would be hidden
    overlay(image, colour, alpha)
    return shown


def _clutter(rng: np.random.Generator, scenery: int, sites: np.ndarray, *, unit: Number) -> Sprite | None:
    """Render one small thing at each site `n 2` (x, y) in pixels, the lower ones last; None for no site."""
    parts: list[Part] = []
    for site in sites[np.argsort(sites[:, 1])]:
        parts += placed(draw_clutter(rng, scenery), shift=site.tolist(), scale=unit * rng.uniform(0.05, 0.11))
    return render(parts, np.eye(2, 3)) if parts else None


def overlay(image: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Lay premultiplied colour over the image in place."""
    rest = cv2.merge([cv2.bitwise_not(alpha)] * 3)
    image[:] = cv2.add(cv2.multiply(image, rest, scale=1 / 255), colour)


def photographed(rng: np.random.Generator, image: np.ndarray, *, difficulty: float) -> np.ndarray:
    """Return the image as a camera might take it: exposure, contrast, colour cast, blur and sensor noise."""
    gain = np.exp(rng.normal(0, 0.04 + 0.14 * difficulty) + rng.normal(0, 0.015 + 0.06 * difficulty, 3))
    contrast = float(np.exp(rng.normal(0, 0.03 + 0.17 * difficulty)))
    level = np.arange(256)[:, None]
    curve = ((level - 118) * contrast + 118) * gain
    image = cv2.LUT(image, np.clip(curve, 0, 255).astype(np.uint8)[:, None])
    sigma = difficulty * rng.uniform(0, 1.3) * min(image.shape[:2]) / 256
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(1.0 + difficulty * rng.uniform(0, 12))
    return cv2.add(image, grain, dtype=cv2.CV_8U)
