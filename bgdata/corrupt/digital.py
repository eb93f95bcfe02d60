"""To be written."""

import numpy as np


def contrast(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def elastic_transform(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def pixelate(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def jpeg_compression(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError


def saturate(image: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """To be written."""
    raise NotImplementedError
