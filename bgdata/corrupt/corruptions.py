"""Which corruptions there are, and one image corrupted by one of them.

Source: Hendrycks and Dietterich 2019 (ImageNet-C), as Michaelis et al. 2019 (imagecorruptions) apply them to any size.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, UInt8

from bgdata.corrupt import blur, digital, noise, weather
from bgdata.corrupt.names import EXTRA_NAMES, SMALLEST, STANDARD_NAMES
from bgdata.corrupt.names import REGIONS as REGIONS
from bgdata.corrupt.names import SEVERITIES as SEVERITIES
from bgdata.corrupt.names import Corruption as Corruption
from bgdata.errors import InputError
from bgdata.randomness import image_generator

# An image, a severity and where random numbers come from, in; the corrupted image out.
Algorithm = Callable[[UInt8[np.ndarray, "h w 3"], int, np.random.Generator], UInt8[np.ndarray, "h w 3"]]

_ALGORITHMS: dict[str, Algorithm] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
    "speckle_noise": noise.speckle_noise,
    "gaussian_blur": blur.gaussian_blur,
    "spatter": weather.spatter,
    "saturate": digital.saturate,
}
# In the published order.
STANDARD = {name: _ALGORITHMS[name] for name in STANDARD_NAMES}
EXTRA = {name: _ALGORITHMS[name] for name in EXTRA_NAMES}
CORRUPTIONS = STANDARD | EXTRA


def corrupt_image(
    image: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"],
    corruption: Corruption,
    *,
    seed: int,
    image_id: str,
    mask: Bool[np.ndarray, "h w"] | None = None,
) -> UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"]:
    """An RGB or grey image corrupted, in its own size and kind.

    The random numbers are of (seed, image id, corruption, severity) alone, so that the regions of a photo show parts
    of the same corrupted photo. `mask` says what is foreground; the whole photo needs none.

    Raises InputError where the image is no uint8 `h w 3` or `h w` of at least 32 x 32, or a region has no mask.
    """
    _check_image(image)
    rng = image_generator(seed, image_id, f"{corruption.name} {corruption.severity}")
    colours = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    corrupted = CORRUPTIONS[corruption.name](colours, corruption.severity, rng)
    corrupted = confine(corrupted, colours, corruption.region, mask)
    return corrupted if image.ndim == 3 else np.ascontiguousarray(corrupted[..., 0])


def confine(
    corrupted: UInt8[np.ndarray, "h w 3"],
    original: UInt8[np.ndarray, "h w 3"],
    region: str,
    mask: Bool[np.ndarray, "h w"] | None,
) -> UInt8[np.ndarray, "h w 3"]:
    """A corrupted photo in its region, the original elsewhere.

    Raises InputError where a region has no mask of the photo's size.
    """
    if region == "whole":
        return corrupted
    if mask is None or mask.shape != original.shape[:2]:
        raise InputError(f"{region}: the photo has no mask of its size: give one, or take region whole")
    changed = mask if region == "foreground" else ~mask
    return np.where(changed[..., None], corrupted, original)


def _check_image(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise InputError(
            f"an image is {image.dtype} of shape {image.shape}, expected uint8 of height x width (x 3): convert it"
        )
    if min(image.shape[:2]) < SMALLEST:
        raise InputError(
            f"an image is {image.shape[0]}x{image.shape[1]} (height x width): corruptions need at least "
            f"{SMALLEST}x{SMALLEST}, enlarge it"
        )
