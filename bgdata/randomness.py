"""Random choices that depend on the seed and the image alone."""

import hashlib

import numpy as np


def image_generator(seed: int, image_id: str, purpose: str = "") -> np.random.Generator:
    """A generator of its own for one image and one purpose.

    Order, worker count and batch size therefore change nothing, and a new purpose does not disturb the choices of
    another.
    """
    digest = hashlib.sha256(f"{purpose}\0{image_id}".encode()).digest()
    words = np.frombuffer(digest, dtype="<u4")
    return np.random.default_rng([seed, *words.tolist()])
