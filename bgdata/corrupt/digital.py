"""Contrast, elastic transform, pixelation, JPEG compression and saturation.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as imagecorruptions 1.1.5 (Michaelis et al. 2019) applies them to any
size. Each is equal to that package's, to the grey level, when it is given the package's random numbers. Entries of the
tables are severities 1 to 5. Results are cut to uint8, not rounded, as there.
"""

from io import BytesIO

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from PIL import Image as Pillow
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

from bgdata.corrupt.hsv import change_hsv

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

    Quirks kept: both moves are measured in heights; the image is float32, its interpolation float64. Differs from the
    published files, whose images went through an affine map first.
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
    # float32 is the reference's precision of a move.
    rows = np.arange(height)[:, None] + down.astype(np.float32)
    columns = np.arange(width) + right.astype(np.float32)
    moved = _sampled(image.astype(np.float32) / 255, rows, columns)
    return (np.clip(moved, 0, 1) * 255).astype(np.uint8)


def _sampled(
    image: Float32[np.ndarray, "h w 3"], rows: Float64[np.ndarray, "h w"], columns: Float64[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    """The image at places between its pixels: a sparse matrix of four weights a row, times the pixels.

    OpenCV's `remap` is no faster and knows 32 places between two pixels: grey levels would differ.
    """
    height, width = image.shape[:2]
    top, left = np.floor(rows), np.floor(columns)
    lower, righter = rows - top, columns - left
    weights = np.stack(
        ((1 - lower) * (1 - righter), (1 - lower) * righter, lower * (1 - righter), lower * righter), -1
    )
    top, bottom = (_reflected(row, height) * width for row in (top, top + 1))
    left, right = (_reflected(column, width) for column in (left, left + 1))
    places = np.stack((top + left, top + right, bottom + left, bottom + right), -1)
    starts = np.arange(0, places.size + 1, 4)
    matrix = csr_array((weights.ravel(), places.ravel(), starts), shape=(rows.size, rows.size))
    return (matrix @ image.reshape(-1, 3).astype(float)).astype(np.float32).reshape(image.shape)


def _reflected(place: Float64[np.ndarray, "h w"], length: int) -> Int64[np.ndarray, "h w"]:
    """Whole places outside [0, length) reflected at its edges: c b a | a b c | c b a."""
    place = place.astype(np.int64) % (2 * length)
    return np.minimum(place, 2 * length - 1 - place)


def pixelate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """Shrunk by Pillow's BOX filter, enlarged by its NEAREST. Draws nothing. Table: PIXELATE."""
    height, width = image.shape[:2]
    kept = PIXELATE[severity - 1]
    small = Pillow.fromarray(image).resize((int(width * kept), int(height * kept)), Pillow.Resampling.BOX)
    return np.array(small.resize((width, height), Pillow.Resampling.NEAREST))


def jpeg_compression(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """Written as a JPEG by Pillow with its defaults (4:2:0) and read again. Draws nothing. Table: JPEG."""
    written = BytesIO()
    Pillow.fromarray(image).save(written, "JPEG", quality=JPEG[severity - 1])
    return np.array(Pillow.open(written))


def saturate(image: Image, severity: int, rng: np.random.Generator) -> Image:  # noqa: ARG001 # as all others
    """The saturation of HSV lowered (severities 1 and 2) or raised (3 to 5). Draws nothing. Table: SATURATE.

    Quirk kept: severities 4 and 5 give grey pixels a saturation, too: they turn red.
    """
    factor, raised = SATURATE[severity - 1]
    return change_hsv(image, lambda value, saturation: (value, np.clip(saturation * factor + raised, 0, 1)))
