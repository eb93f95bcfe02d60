"""The one formula of compositing: rendering, dynamic replacement in training and the challenge all call it."""

from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import Bool, Float32

Pixels = TypeVar("Pixels", bound=Any)


def paste_foreground(background: Pixels, foreground: Pixels, alpha: Any) -> Pixels:
    """Composite `background * (1 - alpha) + foreground * alpha`, by mask and never by colour.

    At rest: uint8 arrays `H W 3` with `alpha` bool `H W` (selects: exact to the pixel) or float32 `H W` in [0, 1]
    (blends, rounded). In torch: tensors `... 3 H W` with `alpha` bool or float, broadcastable `... 1 H W`. Inputs
    are not changed. Source: the official evaluator's `bg * (1 - m) + m * img`; its training data were composited by
    "not black" instead, which let true black foreground leak.
    """
    if not isinstance(background, np.ndarray):
        # Tensors, without importing torch here: a render worker has no use for it. uint8 wraps around and back, so
        # a bool alpha selects exactly, ten times as fast on a CPU as `where`.
        return background + (foreground - background) * alpha
    if alpha.dtype == np.bool_:
        return cv2.copyTo(foreground, alpha.view(np.uint8), background.copy())  # type: ignore[return-value]
    return cv2.blendLinear(foreground, background, alpha, 1 - alpha)  # type: ignore[return-value]


def feathered(mask: Bool[np.ndarray, "h w"], sigma: float) -> Float32[np.ndarray, "h w"]:
    """The mask as an alpha in [0, 1] whose edge is a Gaussian of `sigma` pixels."""
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).clip(0, 1)
