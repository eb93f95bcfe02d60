"""What the judge of corruptions reads: photos, clean and corrupted, a chunk at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from bgdata.classes import ClassList
from bgdata.corrupt.corruptions import Corruption
from bgdata.shards import Row

# Some photos and their pixels, in the same order.
Chunk = tuple[Sequence[Row], UInt8[np.ndarray, "n s s 3"]]


@runtime_checkable
class CorruptedData(Protocol):
    """Photos under corruptions, wherever they come from: stored sets, made now, or published files.

    `source` is `ours` or `published`; `record` is what a result says of the data (source, seed, encoding ...), and
    `digest` is of all that decides a pixel.
    """

    source: str
    classes: ClassList
    corruptions: Sequence[Corruption]
    record: dict[str, Any]
    digest: str

    def clean(self) -> Iterator[Chunk] | None:
        """The photos as they were; None where they are not at hand."""
        ...

    def corrupted(self, corruption: Corruption) -> Iterator[Chunk]:
        """The photos under one of `corruptions`, in the order of `clean`."""
        ...
