"""How well one mask matches another."""

import numpy as np
from jaxtyping import Bool

from bgdata.errors import InputError


def iou(mask: Bool[np.ndarray, "_ _"], truth: Bool[np.ndarray, "_ _"], *, name: str = "(unnamed)") -> float:
    """Intersection over union, in [0, 1]; 1 where both are empty.

    Raises InputError, which names the mask by `name`, where the sizes differ.
    """
    check_same_size(mask, truth.shape, name=name)
    union = int((mask | truth).sum())
    return int((mask & truth).sum()) / union if union else 1.0


def dice(mask: Bool[np.ndarray, "_ _"], truth: Bool[np.ndarray, "_ _"], *, name: str = "(unnamed)") -> float:
    """Twice the intersection over the sum of both areas, in [0, 1]; 1 where both are empty.

    Raises InputError, which names the mask by `name`, where the sizes differ.
    """
    check_same_size(mask, truth.shape, name=name)
    areas = int(mask.sum()) + int(truth.sum())
    return 2 * int((mask & truth).sum()) / areas if areas else 1.0


def check_same_size(mask: Bool[np.ndarray, "_ _"], size: tuple[int, ...], *, name: str) -> None:
    """Raise InputError where a mask is not of its image's size (height, width, ...)."""
    if mask.shape != tuple(size[:2]):
        raise InputError(
            f"mask {name} is {mask.shape[0]}x{mask.shape[1]}, its image is {size[0]}x{size[1]} (height x width): "
            "make it anew from the photo as it lies in the set"
        )
