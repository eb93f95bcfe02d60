"""CIFAR-10's pickles, which Python 2 wrote, read without running what they name: inert stand-ins take its place."""

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bgdata.errors import InputError


def read_pickle(data: bytes) -> Mapping[str, Any]:
    """The mapping that a pickle holds, its arrays as `PickledArray`.

    Raises InputError where it is no such pickle, or names anything but numpy's plain arrays.
    """
    try:
        # Python 2's texts stay bytes: among them are the pixels.
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises whatever its bytes lead to
        raise InputError(
            f"expected a pickle of CIFAR-10, and it is none ({str(error) or type(error).__name__})"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"expected a pickle of CIFAR-10, it holds a {type(content).__name__}")
    return {as_text(key): value for key, value in content.items() if isinstance(key, str | bytes)}


class PickledArray:
    """Stands for numpy's array in a pickle, and keeps what it would be made from."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def values(self) -> UInt8[np.ndarray, "n values"]:
        """The array, of two axes.

        Raises InputError where it is another array.
        """
        if isinstance(self.state, tuple) and len(self.state) == 5:
            _, shape, dtype, is_column_first, values = self.state
            plain = isinstance(dtype, _Dtype) and dtype.code in ("u1", b"u1") and isinstance(values, bytes)
            has_axes = isinstance(shape, tuple) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)
            if plain and has_axes and shape[0] * shape[1] == len(values):
                return np.frombuffer(values, np.uint8).reshape(shape, order="F" if is_column_first else "C")
        raise InputError("expected an array of uint8 of two axes")


class _Dtype:
    """Stands for the kind of numbers in an array."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None: ...


def _encode(text: str, coding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if coding != "latin1" or not isinstance(text, str):
        raise InputError(f"expected bytes of latin1, got {coding}")
    return text.encode("latin-1")


_STAND_INS: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle._Unpickler):
    """Knows the stand-ins alone.

    The one in Python, not the one in C: that takes memory for as many remembered objects as a file claims.
    """

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name.

        Raises InputError for any other.
        """
        if (module, name) not in _STAND_INS:
            raise InputError(f"the pickle names {module}.{name}, which no batch of CIFAR-10 holds, so do not trust it")
        return _STAND_INS[module, name]


def as_text(name: str | bytes) -> str:
    """A text of either Python's pickles."""
    return name if isinstance(name, str) else name.decode("latin-1")
