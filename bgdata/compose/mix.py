"""Mixed images with soft labels: mixup and cutmix.

Sources: Zhang et al., "mixup" (ICLR 2018), eq. 1; Yun et al., "CutMix" (ICCV 2019), eq. 1 and 2. The label weight
`lam` is the first image's share; for cutmix it is the area that is really kept, not the one drawn.
"""

import cv2
import numpy as np
from jaxtyping import UInt8

from bgdata.geometry import Box


def mixup(
    image: UInt8[np.ndarray, "h w 3"], partner: UInt8[np.ndarray, "h w 3"], alpha: float, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h w 3"], float, Box | None]:
    """`lam * image + (1 - lam) * partner` with lam from Beta(alpha, alpha); returns (mixed, lam, None)."""
    lam = float(rng.beta(alpha, alpha))
    return cv2.addWeighted(image, lam, partner, 1 - lam, 0), lam, None


def cutmix(
    image: UInt8[np.ndarray, "h w 3"], partner: UInt8[np.ndarray, "h w 3"], alpha: float, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h w 3"], float, Box | None]:
    """The partner's pixels in a random box whose area is 1 - lam before clipping; returns (mixed, kept share, box)."""
    height, width = image.shape[:2]
    cut = np.sqrt(1 - rng.beta(alpha, alpha))
    x, y = int(rng.integers(width)), int(rng.integers(height))
    half_width, half_height = round(width * cut / 2), round(height * cut / 2)
    box = Box(x - half_width, y - half_height, x + half_width, y + half_height).clipped((height, width))
    mixed = image.copy()
    mixed[box.y0 : box.y1, box.x0 : box.x1] = partner[box.y0 : box.y1, box.x0 : box.x1]
    return mixed, 1 - box.area / (height * width), box


METHODS = {"mixup": mixup, "cutmix": cutmix}
