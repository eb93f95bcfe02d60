"""Random choices that depend on the seed and the image alone."""

import hashlib
from collections.abc import Sequence

import numpy as np


def image_generator(seed: int, image_id: str, purpose: str = "") -> np.random.Generator:
    """A generator of its own for one image and one purpose.

    Order, worker count and batch size therefore change nothing, and a new purpose does not disturb the choices of
    another.
    """
    digest = hashlib.sha256(f"{purpose}\0{image_id}".encode()).digest()
    # default_rng([seed, *words of the digest]), in four tenths of its time: NumPy takes a list apart number by number.
    own = seed.to_bytes(4 * max(-(-seed.bit_length() // 32), 1), "little")
    return np.random.default_rng(np.frombuffer(own + digest, dtype="<u4"))


def seeded_order(seed: int, image_ids: Sequence[str], purpose: str) -> list[int]:
    """Positions of the ids in a random order that the other ids do not change: sorted by each id's own draw."""
    draws = [image_generator(seed, image_id, purpose).integers(2**63) for image_id in image_ids]
    return sorted(range(len(image_ids)), key=lambda position: (draws[position], image_ids[position]))
