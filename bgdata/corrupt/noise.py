"""To be written."""

import numpy as np


def gaussian_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def shot_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def impulse_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def speckle_noise(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError
