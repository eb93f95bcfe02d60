"""Blur: five corruptions that mix each value with its neighbours.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as imagecorruptions-imaug 1.1.5 computes them: "the reference" here.
All take RGB uint8 `h w 3`, a severity from 1 to 5 and a generator, and return RGB uint8 `h w 3`. All are equal to the
reference where `rng` draws the same numbers; zoom blur but for a few values in a million, by one grey level. Kept of
it: values are truncated to grey levels, not rounded, so that an area of one colour keeps its level or loses one as the
last bit of the reference's sum decides (see `_truncated`).
"""

import math
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from scipy.ndimage import gaussian_filter

# Radius of the disc, and sigma with which its edge is smoothed; in pixels.
DEFOCUS_DISCS = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))
# Sigma of both blurs, how far a pixel may come from, and how often.
GLASS_PANES = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
# Radius and sigma of the trail.
MOTION_TRAILS = ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))
# Up to which factor (exclusive) and in which steps the image is enlarged.
ZOOM_RANGES = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
GAUSSIAN_SIGMAS = (1.0, 2.0, 3.0, 4.0, 6.0)
LEVELS = np.arange(256, dtype=np.uint8)
# Two ways to sum grey levels in float64 differ by less; a neighbour of another level makes more, whatever its weight.
ROUNDING = 1e-12
# So many rows are shuffled at a time.
SHUFFLED_ROWS = 32


def defocus_blur(
    image: UInt8[np.ndarray, "h w 3"],
    severity: int,
    rng: np.random.Generator,  # noqa: ARG001 # all corruptions have one signature
) -> UInt8[np.ndarray, "h w 3"]:
    """The mean over a disc (`DEFOCUS_DISCS`) around each pixel; the image is mirrored at its border.

    Kept: at severities 4 and 5 the disc fills its kernel, whose border the smoothing mirrors, so that it sums to 1.013
    and 1.011 and the image gets brighter.
    """
    blurred = cv2.filter2D(image / 255.0, -1, _disc(*DEFOCUS_DISCS[severity - 1]))
    np.clip(blurred, 0, 1, out=blurred)
    blurred *= 255
    return blurred.astype(np.uint8)


def glass_blur(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """Blur, let each pixel show one nearby, several times over, and blur again (`GLASS_PANES`).

    Kept: pixels do not change places, as was meant; the reference swaps views of one array, which copies one way. And
    they come from -delta to delta - 1 away, never from delta.
    """
    sigma, delta, times = GLASS_PANES[severity - 1]
    shuffled = _gaussian_blurred(image, sigma)
    for _ in range(times):
        _shuffle(shuffled, delta, rng)
    return _gaussian_blurred(shuffled, sigma)


def motion_blur(
    image: UInt8[np.ndarray, "h w 3"], severity: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """A trail (`MOTION_TRAILS`) that fades as half a Gaussian, in a random direction within 45 degrees of horizontal.

    Outside the image is its border. Kept: where an image is shorter than the trail, the trail ends early and the image
    gets darker. The published ImageNet-C took ImageMagick's, which differs a little from the reference's.
    """
    radius, sigma = MOTION_TRAILS[severity - 1]
    height, width = image.shape[:2]
    margin = 2 * radius
    around = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE).astype(np.float64)
    blurred, flat = np.zeros(image.shape), np.zeros(256)
    for weight, down, right in _trail(2 * radius + 1, sigma, rng.uniform(-45, 45)):
        if abs(down) >= height or abs(right) >= width:
            break
        top, left = margin - down, margin - right
        cv2.scaleAdd(around[top : top + height, left : left + width], weight, blurred, dst=blurred)
        flat += weight * LEVELS
    return _truncated(blurred, flat)


def zoom_blur(
    image: UInt8[np.ndarray, "h w 3"],
    severity: int,
    rng: np.random.Generator,  # noqa: ARG001 # all corruptions have one signature
) -> UInt8[np.ndarray, "h w 3"]:
    """The mean of the image and of its enlargements (`ZOOM_RANGES`), the first of which is the image once more.

    Differs from the reference, which interpolates in float64 and rounds to float32: here all is float32, so that one
    value in a million falls to the other side of a grey level. Kept: `_enlarged` names a quirk.
    """
    clean = (image / 255.0).astype(np.float32)
    sideways = cv2.transpose(clean)
    total = np.zeros_like(clean)
    factors = np.arange(1, *ZOOM_RANGES[severity - 1])
    for factor in factors:
        total += _enlarged(cv2.transpose(_enlarged(sideways, factor)), factor)
    mean = (clean + total) / (len(factors) + 1)
    return (np.clip(mean, 0, 1) * 255).astype(np.uint8)


def gaussian_blur(
    image: UInt8[np.ndarray, "h w 3"],
    severity: int,
    rng: np.random.Generator,  # noqa: ARG001 # all corruptions have one signature
) -> UInt8[np.ndarray, "h w 3"]:
    """A Gaussian (`GAUSSIAN_SIGMAS`, in pixels), cut off at four sigma; outside the image is its border."""
    return _gaussian_blurred(image, GAUSSIAN_SIGMAS[severity - 1])


@cache
def _disc(radius: int, sigma: float) -> Float32[np.ndarray, "k k"]:
    """A disc of weights, its edge smoothed; within 17 x 17 where it has room."""
    reach = max(8, radius)
    squares = np.arange(-reach, reach + 1) ** 2
    kernel = (squares[:, None] + squares <= radius**2).astype(np.float32)
    kernel /= kernel.sum()
    size = 3 if radius <= 8 else 5
    return cv2.GaussianBlur(kernel, (size, size), sigmaX=sigma)


def _trail(length: int, sigma: float, angle: float) -> Iterator[tuple[float, int, int]]:
    """Of each step of a trail its weight, and how far down and to the right it moves the image."""
    weights = np.exp(-(np.arange(length) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    weights /= weights.sum()
    rise, run = length * np.sin(np.deg2rad(angle)), length * np.cos(np.deg2rad(angle))
    whole = math.hypot(rise, run)
    for step, weight in enumerate(weights):
        yield float(weight), -math.ceil(step * rise / whole - 0.5), -math.ceil(step * run / whole - 0.5)


def _shuffle(image: UInt8[np.ndarray, "h w 3"], delta: int, rng: np.random.Generator) -> None:
    """One pass of glass blur, in place: from the last pixel to the first, each takes what a random one nearby shows.

    Some rows at a time, from below, which fit the cache. A source further on in the same rows has taken another's value
    already, and that one perhaps as well: such chains are followed in steps of doubling length.
    """
    height, width = image.shape[:2]
    first = delta + 1
    for bottom in range(height - delta + 1, first, -SHUFFLED_ROWS):
        rows = min(SHUFFLED_ROWS, bottom - first)
        window = image[bottom - rows - delta : bottom - 1 + delta].reshape(-1, 3)
        pixels = np.arange(len(window))
        changed = pixels.reshape(-1, width)[delta : delta + rows, first : width - delta + 1][::-1, ::-1]
        right, down = np.moveaxis(rng.integers(-delta, delta, (*changed.shape, 2)), 2, 0)
        sources = pixels.copy()
        sources[changed] += down * width + right
        ends = np.maximum(sources, pixels)  # a source before the pixel, or itself, has its old value: no chain
        while not np.array_equal(ends, further := ends[ends]):
            ends = further
        window[:] = window.take(sources[ends], 0)


def _enlarged(lines: Float32[np.ndarray, "n m 3"], factor: float) -> Float32[np.ndarray, "n m 3"]:
    """The middle of an image enlarged in height, the first n lines of it.

    First and last line stay where they are (scipy's convention). Kept: where rounding puts the last line outside, as it
    does for few sizes, that line is black.
    """
    kept = math.ceil(len(lines) / factor)
    first = (len(lines) - kept) // 2
    places = np.arange(len(lines)) * ((kept - 1) / (round(kept * factor) - 1))
    before = places.astype(int)
    shares = (places - before).astype(np.float32)[:, None, None]
    low = lines.take(first + before, 0)
    enlarged = lines.take(first + np.minimum(before + 1, kept - 1), 0)
    enlarged -= low
    enlarged *= shares
    enlarged += low  # in this form one colour stays as it is
    enlarged[places > kept - 1] = 0
    return enlarged


def _gaussian_blurred(image: UInt8[np.ndarray, "h w 3"], sigma: float) -> UInt8[np.ndarray, "h w 3"]:
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    # Two calls, and the first on lines of bare values, are twice as fast as one of sepFilter2D.
    lines = image.reshape(len(image), -1)
    down = cv2.sepFilter2D(lines, cv2.CV_64F, np.ones(1), kernel, borderType=cv2.BORDER_REPLICATE).reshape(image.shape)
    blurred = cv2.filter2D(down, -1, kernel[None], dst=down, borderType=cv2.BORDER_REPLICATE)
    return _truncated(blurred, _flat_gaussian(sigma))


@cache
def _flat_gaussian(sigma: float) -> Float64[np.ndarray, "256"]:
    """What the reference's sums make of an area of each grey level."""
    levels = LEVELS[:, None, None] / 255.0
    return gaussian_filter(levels, (0, sigma, sigma), mode="nearest").clip(0, 1).ravel() * 255


def _truncated(blurred: Float64[np.ndarray, "h w 3"], flat: Float64[np.ndarray, "256"]) -> UInt8[np.ndarray, "h w 3"]:
    """Sums of grey levels truncated as the reference truncates its own; overwrites them.

    Both sums are the same but for their last bits, and those decide only where the sum is a whole number: where all
    around is one level. `flat` is what the reference's sum is there.
    """
    blurred += ROUNDING
    levels = blurred.astype(np.uint8)
    blurred -= levels
    is_whole = blurred < 2 * ROUNDING
    lost = LEVELS - flat.astype(np.uint8)
    return levels - np.multiply(cv2.LUT(levels, lost), is_whole)
