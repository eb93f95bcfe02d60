"""How well one mask matches another."""

import numpy as np
from jaxtyping import Bool

from bgdata.errors import InputError


def iou(
    mask: Bool[np.ndarray, "_ _"],
    truth: Bool[np.ndarray, "_ _"],
    *,
    void: Bool[np.ndarray, "_ _"] | None = None,
    name: str = "(unnamed)",
) -> float:
    """Intersection over union, in [0, 1]; 1 where both are empty. Pixels that are `void` count neither way.

    Raises InputError, which names the mask by `name`, where the sizes differ.
    """
    mask, truth = _counted(mask, truth, void, name)
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def dice(
    mask: Bool[np.ndarray, "_ _"],
    truth: Bool[np.ndarray, "_ _"],
    *,
    void: Bool[np.ndarray, "_ _"] | None = None,
    name: str = "(unnamed)",
) -> float:
    """Twice the intersection over the sum of both areas, in [0, 1]; 1 where both are empty. Pixels that are `void`
    count neither way.

    Raises InputError, which names the mask by `name`, where the sizes differ.
    """
    mask, truth = _counted(mask, truth, void, name)
    areas = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / areas if areas else 1.0


def check_same_size(mask: Bool[np.ndarray, "_ _"], size: tuple[int, ...], *, name: str) -> None:
    """Raise InputError where a mask is not of its image's size (height, width, ...)."""
    if mask.shape != tuple(size[:2]):
        raise InputError(
            f"mask {name} is {mask.shape[0]}x{mask.shape[1]}, its image is {size[0]}x{size[1]} (height x width): "
            "make it anew from the photo as it lies in the set"
        )


def _counted(mask: np.ndarray, truth: np.ndarray, void: np.ndarray | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    check_same_size(mask, truth.shape, name=name)
    if void is None:
        return mask, truth
    check_same_size(void, truth.shape, name=f"{name} (void)")
    return mask & ~void, truth & ~void
