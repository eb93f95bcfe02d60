"""A set decoded into memory once: uint8 arrays that training and the judges read at random."""

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from filelock import FileLock
from jaxtyping import Bool, Int64, UInt8
from tqdm import tqdm

from bgdata.arrays import create_array
from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.io import decode_image, decode_mask
from bgdata.shards import Row

_CHUNK = 512
_ARRAY = "array.npy"


@runtime_checkable
class ImageSource(Protocol):
    """A set of labelled images that are read by row: an `ImageSet`, or the official release's `ReleaseSet`.

    `passed_over` names the files (`<split>/...`) that lie among the images and are none.
    """

    folder: Path
    manifest: dict[str, Any]
    classes: ClassList
    rows: list[Row]
    passed_over: Sequence[str]

    def split(self, split: str) -> list[Row]:
        """The rows of one split, in the set's order."""
        ...

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order."""
        ...

    def place(self, row: Row) -> str:
        """Where an image lies, for people."""
        ...

    def read(self, row: Row) -> bytes:
        """The bytes of one image, or of a mask as an image."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


class PackedMasks:
    """Masks at rest as bits, eight pixels a byte (`bits`: `n s ceil(s/8)`), unpacked where they are read."""

    def __init__(self, bits: UInt8[np.ndarray, "n s e"]) -> None:
        self._bits = bits

    def __len__(self) -> int:
        return len(self._bits)

    def __getitem__(self, indices: Int64[np.ndarray, " b"] | slice) -> Bool[np.ndarray, "b s s"]:
        bits = self._bits[indices]
        return np.unpackbits(bits, axis=-1, count=bits.shape[1]).view(bool)


def load_pixels(
    images: ImageSource, rows: Sequence[Row], *, size: int | None, folder: Path | None, workers: int, label: str
) -> UInt8[np.ndarray, "n s s 3"]:
    """Decode images, in the order of `rows`, resized to `size` x `size` (None: as large as the first one is).

    With a `folder`, the set's own, the array is memory-mapped there: processes that ask for the same images share it, a
    killed one goes on where it was, and arrays of what the set held before are removed. Without one it is in memory.
    `workers` threads decode (OpenCV lets go of Python's lock); `label` names the progress bar.

    Raises InputError where an image cannot be decoded, or is not square, naming it.
    """
    return _load(images, rows, _image_at, channels=(3,), size=size, folder=folder, workers=workers, label=label)


def load_masks(
    masks: ImageSource, rows: Sequence[Row], *, size: int | None, folder: Path | None, workers: int, label: str
) -> Bool[np.ndarray, "n s s"]:
    """Decode masks as `load_pixels` decodes images; resized, a pixel is foreground where half of what it covers is."""
    return _load(masks, rows, _mask_at, size=size, folder=folder, workers=workers, label=label).view(bool)


def load_packed_masks(
    masks: ImageSource, rows: Sequence[Row], *, size: int | None, folder: Path | None, workers: int, label: str
) -> PackedMasks:
    """The masks of `load_masks`, in an eighth of the room."""
    pack = partial(np.packbits, axis=-1)
    return PackedMasks(_load(masks, rows, _mask_at, pack, size=size, folder=folder, workers=workers, label=label))


def _image_at(data: bytes, size: int | None) -> UInt8[np.ndarray, "h w 3"]:
    image = decode_image(data, as_stored=True)
    return image if size is None else resize_pixels(image, (size, size))


def _mask_at(data: bytes, size: int | None) -> UInt8[np.ndarray, "h w"]:
    mask = decode_mask(data).view(np.uint8)
    if size is None or mask.shape == (size, size):
        return mask
    return (resize_pixels(mask * np.uint8(255), (size, size)) >= 128).view(np.uint8)


def _load(
    images: ImageSource,
    rows: Sequence[Row],
    decode: Callable[[bytes, int | None], np.ndarray],
    store: Callable[[np.ndarray], np.ndarray] = np.asarray,
    *,
    channels: tuple[int, ...] = (),
    size: int | None,
    folder: Path | None,
    workers: int,
    label: str,
) -> np.ndarray:
    if not rows:
        raise InputError(f"{images.folder} holds no images for {label}: render the set again, or raise its counts")

    def decoded(row: Row, data: bytes) -> np.ndarray:
        try:
            return decode(data, size)
        except InputError as error:
            raise InputError(f"{images.place(row)}: {error}; make or download it again") from None

    side = size or decoded(rows[0], images.read(rows[0])).shape[0]
    expected = (side, side, *channels)
    shape = (len(rows), *store(np.zeros(expected, np.uint8)).shape)

    def decode_into(index: int, data: bytes) -> None:
        pixels = decoded(rows[index], data)
        if pixels.shape != expected:
            raise InputError(
                f"{images.place(rows[index])} is {pixels.shape[0]}x{pixels.shape[1]}, expected "
                f"{side}x{side} (height x width): make or download it again"
            )
        array[index] = store(pixels)

    with (
        _array_in_memory(shape) if folder is None else _cached_array(folder, shape, images, rows) as (array, marks),
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(rows), desc=label, unit="img", mininterval=1.0) as bar,
    ):
        for start in range(0, len(rows), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(rows)))
            done = marks / f"{start:08d}.done" if marks else None
            if not (done and done.exists()):
                for _ in pool.map(decode_into, chunk, [images.read(rows[index]) for index in chunk]):
                    pass
                if done:
                    done.touch()
            bar.update(len(chunk))
        return array


def _array_in_memory(shape: tuple[int, ...]) -> AbstractContextManager[tuple[np.ndarray, Path | None]]:
    return nullcontext((np.empty(shape, np.uint8), None))


@contextmanager
def _cached_array(
    cache: Path, shape: tuple[int, ...], images: ImageSource, rows: Sequence[Row]
) -> Iterator[tuple[np.ndarray, Path | None]]:
    """The array of these images in `cache`, and the folder of its marks; no other process writes inside the block.

    What it is of is its folder's name, so it is never written over: a process that has mapped an array that is removed
    here keeps it.
    """
    content = _digest(repr(sorted(images.manifest["shards"].items())))
    folder = cache / f"{content}-{_digest(repr((shape, [row.id for row in rows])))}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        for other in cache.iterdir():
            if other.is_dir() and not other.name.startswith(content):
                shutil.rmtree(other)
        if not (folder / _ARRAY).is_file():
            shutil.rmtree(folder, ignore_errors=True)  # marks of an array that is gone
            folder.mkdir()
            create_array(folder / _ARRAY, np.uint8, shape)
        yield np.lib.format.open_memmap(folder / _ARRAY, mode="r+"), folder


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
