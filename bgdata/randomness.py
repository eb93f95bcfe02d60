"""Random choices that depend on the seed and the image alone."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise, repeat

import numpy as np
from jaxtyping import UInt32, UInt64
from numpy.random import PCG64, Generator
from numpy.random.bit_generator import ISeedSequence

_DIGEST_WORDS, _POOL_WORDS, _STATE_WORDS = 8, 4, 8
_TOGETHER = 4096  # ids side by side: what is worked out stays small


def image_generator(seed: int, image_id: str, purpose: str = "") -> Generator:
    """A generator of its own for one image and one purpose.

    Order, worker count and batch size therefore change nothing, and a new purpose does not disturb the choices of
    another.
    """
    # As one array: NumPy takes a list apart number by number, which costs more than all the rest.
    return Generator(PCG64(np.frombuffer(_entropy(seed, image_id, purpose), dtype="<u4")))


def image_generators(seed: int, image_ids: Sequence[str], purpose: str = "") -> Iterator[Generator]:
    """`image_generator` of each id, in their order; many at once take a third of the time.

    Source: NumPy's SeedSequence, whose streams NumPy promises to keep (NEP 19), with all ids side by side.
    """
    for start in range(0, len(image_ids), _TOGETHER):
        entropy = b"".join([_entropy(seed, image_id, purpose) for image_id in image_ids[start : start + _TOGETHER]])
        words = np.frombuffer(entropy, dtype="<u4").reshape(-1, _seed_words(seed) + _DIGEST_WORDS)
        for state in _states(words):
            yield Generator(PCG64(_Seeded(state)))  # type: ignore[arg-type]  # NumPy's stubs know SeedSequence alone


def seeded_order(seed: int, image_ids: Sequence[str], purpose: str) -> list[int]:
    """Positions of the ids in a random order that the other ids do not change: sorted by each id's own draw."""
    draws = [rng.integers(2**63) for rng in image_generators(seed, image_ids, purpose)]
    return sorted(range(len(image_ids)), key=lambda position: (draws[position], image_ids[position]))


def _entropy(seed: int, image_id: str, purpose: str) -> bytes:
    """The seed's words (of 32 bits), and those of a digest."""
    digest = hashlib.sha256(f"{purpose}\0{image_id}".encode()).digest()
    return seed.to_bytes(4 * _seed_words(seed), "little") + digest


def _seed_words(seed: int) -> int:
    return max(-(-seed.bit_length() // 32), 1)


class _Seeded(ISeedSequence):
    """A seed sequence that has been worked out."""

    def __init__(self, state: UInt64[np.ndarray, "4"]) -> None:
        self._state = state

    def generate_state(self, n_words: int, dtype: object = np.uint64) -> UInt64[np.ndarray, "4"]:
        """The state, as PCG64 asks for it."""
        del n_words, dtype
        return self._state


def _states(words: UInt32[np.ndarray, "n words"]) -> UInt64[np.ndarray, "n 4"]:
    """What a SeedSequence of each row hands to PCG64."""
    columns, constants = list(words.T), _constants(0x43B0D7E5, 0x931E8875)
    pool = [_hash(column, constants) for column in columns[:_POOL_WORDS]]
    for source in range(_POOL_WORDS):
        for target in range(_POOL_WORDS):
            if source != target:
                pool[target] = _mix(pool[target], _hash(pool[source], constants))
    for column in columns[_POOL_WORDS:]:
        pool = [_mix(word, _hash(column, constants)) for word in pool]
    constants = _constants(0x8B51F9DD, 0x58F38DED)
    state = [_hash(pool[place % _POOL_WORDS], constants) for place in range(_STATE_WORDS)]
    return np.stack(state, axis=1).astype("<u4").view(np.uint64)


def _constants(first: int, factor: int) -> Iterator[tuple[np.uint32, np.uint32]]:
    powers = accumulate(repeat(factor), lambda power, by: power * by % 2**32, initial=first)
    return pairwise(map(np.uint32, powers))


def _hash(word: UInt32[np.ndarray, " n"], constants: Iterator[tuple[np.uint32, np.uint32]]) -> UInt32[np.ndarray, " n"]:
    one, other = next(constants)
    return _fold((word ^ one) * other)


def _mix(one: UInt32[np.ndarray, " n"], other: UInt32[np.ndarray, " n"]) -> UInt32[np.ndarray, " n"]:
    return _fold(one * np.uint32(0xCA01F9DD) - other * np.uint32(0x4973F715))


def _fold(word: UInt32[np.ndarray, " n"]) -> UInt32[np.ndarray, " n"]:
    return word ^ (word >> np.uint32(16))
