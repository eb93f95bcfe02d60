"""Contrast, elastic transform, pixelation, JPEG compression and saturation.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as imagecorruptions 1.1.5 (Michaelis et al. 2019) applies them to
any size. Each is equal to that package's, to the grey level, when it is given the package's random numbers. Entries of
the tables are severities 1 to 5. Results are cut to uint8, not rounded, as there.

The published files of ImageNet-C were made at 224 x 224 by code of the same tables (make_imagenet_c.py of
hendrycks/robustness) and saved as JPEG of quality 85. Where that code differs beyond its size, the docstring says so.
"""

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter

from bgdata.corrupt.hsv import change_hsv
from bgdata.io import decode_image, encode_jpeg

# The contrast that is left.
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
# How far pixels are moved: times noise within half a hundredth of the height.
ELASTIC = (250 * 0.05, 250 * 0.065, 250 * 0.085, 250 * 0.1, 250 * 0.12)
# The share of pixels a side that is left.
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)
# Quality as libjpeg counts it.
JPEG = (25, 18, 15, 10, 7)
# The saturation of HSV is multiplied by the first and raised by the second.
SATURATE = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))

Image = UInt8[np.ndarray, "h w 3"]


def contrast(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """Each channel drawn towards its mean. Draws nothing. Table: CONTRAST."""
    kept = CONTRAST[severity - 1]
    # Summed as the reference sums: on an image of one colour the last bit decides the grey level.
    means = np.mean(image / 255.0, axis=(0, 1))
    levels = np.arange(256)[:, None] / 255.0
    table = (np.clip((levels - means) * kept + means, 0, 1) * 255).astype(np.uint8)
    return cv2.LUT(image, table[:, None])


def elastic_transform(image: Image, severity: int, rng: np.random.Generator) -> Image:
    """Pixels moved by smoothed noise, interpolated linearly; draws all moves along x, then along y. Table: ELASTIC.

    Quirks kept: both moves are measured in heights; moves and image are float32, the interpolation is float64. The
    published files have a table of their own, with a random affine map before; their severity 3 is milder than 2.
    """
    height, width = image.shape[:2]
    reach = height * 0.005
    right, down = (
        gaussian_filter(
            rng.uniform(-reach, reach, (height, width)), (height * 0.01, width * 0.01), mode="reflect", truncate=3
        )
        * ELASTIC[severity - 1]
        for _ in range(2)
    )
    moved = move_pixels(image.astype(np.float32) / 255, down=down.astype(np.float32), right=right.astype(np.float32))
    return (np.clip(moved, 0, 1) * 255).astype(np.uint8)


def move_pixels(
    image: Float32[np.ndarray, "h w 3"], *, down: Float32[np.ndarray, "h w"], right: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """Each pixel from a place between four others, `down` and `right` of its own: c b a | a b c | c b a at the edges.

    Interpolated in float64. OpenCV's `remap` is no choice: it knows 32 places between two pixels, so that grey levels
    would differ.
    """
    height, width = image.shape[:2]
    reach = int(max(np.abs(down).max(), np.abs(right).max())) + 2
    padded = cv2.copyMakeBorder(image, reach, reach, reach, reach, cv2.BORDER_REFLECT)
    stride = padded.shape[1]
    channels = [channel.astype(np.float64).ravel() for channel in cv2.split(padded)]
    moved = np.empty_like(image)
    # In strips, so that what is between stays in the cache.
    for rows in np.array_split(np.arange(height), -(-image.size // 24_000)):
        strip = slice(rows[0], rows[-1] + 1)
        y, x = rows[:, None] + reach + down[strip], np.arange(reach, reach + width) + right[strip]
        top, left = np.floor(y), np.floor(x)
        below, beside = y - top, x - left
        first = (top * stride + left).astype(np.intp)
        corners = (first, first + 1, first + stride, first + stride + 1)
        for number, channel in enumerate(channels):
            upper_left, upper_right, lower_left, lower_right = (channel.take(corner) for corner in corners)
            upper = _between(upper_left, upper_right, beside)
            moved[strip, :, number] = _between(upper, _between(lower_left, lower_right, beside), below)
    return moved


def _between(
    one: Float64[np.ndarray, "h w"], other: Float64[np.ndarray, "h w"], share: Float64[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w"]:
    """`share` of the way from one to the other; `other` is overwritten."""
    other -= one
    other *= share
    other += one
    return other


def pixelate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """Shrunk by Pillow's BOX filter, enlarged by its NEAREST. Draws nothing. Table: PIXELATE.

    The published code enlarges by BOX, too: at 224 x 224 that gives the same pixels.
    """
    height, width = image.shape[:2]
    kept = PIXELATE[severity - 1]
    small = Pillow.fromarray(image).resize((int(width * kept), int(height * kept)), Pillow.Resampling.BOX)
    return np.array(small.resize((width, height), Pillow.Resampling.NEAREST))


def jpeg_compression(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """Written as a JPEG of low quality (4:2:0) and read again. Draws nothing. Table: JPEG.

    OpenCV does both, by libjpeg-turbo as the reference's Pillow does: to the same pixels in two thirds of the time.
    """
    return decode_image(encode_jpeg(image, JPEG[severity - 1]))


def saturate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """The saturation of HSV lowered (severities 1 and 2) or raised (3 to 5), by scikit-image's conversions.

    Draws nothing. Table: SATURATE. Quirk kept: severities 4 and 5 give grey pixels a saturation, too: they turn red.
    """
    factor, raised = SATURATE[severity - 1]
    return change_hsv(image, lambda value, saturation: (value, np.clip(saturation * factor + raised, 0, 1)))
