"""To be written."""

import numpy as np


def snow(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def frost(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def fog(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def brightness(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def spatter(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError
