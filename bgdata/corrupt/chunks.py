"""Photos decoded a chunk at a time, the next chunks made while the caller works on the present one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import UInt8

from bgdata.corrupt.data import Chunk
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.shards import Row

# Photos in a chunk: 38 MB at 224 px.
CHUNK = 256

Fit = Callable[[UInt8[np.ndarray, "h w 3"]], UInt8[np.ndarray, "s s 3"]]


def chunks_of(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """Rows in their order, a chunk's at a time."""
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def decoded_chunks(
    rows: Sequence[Row],
    fetch: Callable[[Sequence[Row]], Iterable[bytes]],
    *,
    side: int,
    place: Callable[[Row], str],
    workers: int,
    ahead: int = 1,
    fit: Fit | None = None,
) -> Iterator[Chunk]:
    """The photos of `rows` in their order, by chunks, as `side` x `side` pixels.

    `fetch` gives the files of some rows in their order, from another thread, for at most `ahead` chunks at once;
    `workers` threads decode (OpenCV lets go of Python's lock), and `fit` brings a photo of another size to `side`.

    Raises InputError where a file is no image, or of another size, naming its `place`.
    """

    def make(part: Sequence[Row]) -> UInt8[np.ndarray, "n s s 3"]:
        pixels = np.empty((len(part), side, side, 3), np.uint8)

        def decode(position: int, data: bytes) -> None:
            pixels[position] = _decoded(data, side, lambda: place(part[position]), fit)

        for done in [decoding.submit(decode, *item) for item in enumerate(fetch(part))]:
            done.result()
        return pixels

    parts = chunks_of(rows)
    with ThreadPoolExecutor(workers) as decoding, ThreadPoolExecutor(ahead) as making:
        begun = deque(making.submit(make, part) for part in parts[:ahead])
        for number, part in enumerate(parts, ahead):
            pixels = begun.popleft().result()
            begun.extend(making.submit(make, later) for later in parts[number : number + 1])
            yield part, pixels


def _decoded(data: bytes, side: int, place: Callable[[], str], fit: Fit | None) -> UInt8[np.ndarray, "s s 3"]:
    try:
        image = decode_image(data, as_stored=True)
    except InputError as error:
        raise InputError(f"{place()}: {error}; make or download it again") from None
    if image.shape[:2] == (side, side):
        return image
    if fit is not None:
        return fit(image)
    raise InputError(
        f"{place()} is {image.shape[0]}x{image.shape[1]}, expected {side}x{side} (height x width) as the first one: "
        "make or download it again"
    )
