"""A set decoded into memory once: uint8 arrays that training and the judges read at random."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from bgdata.arrays import create_array
from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.io import decode_image, decode_mask
from bgdata.shards import Row

_CHUNK = 512
_ARRAY = "array.npy"


@runtime_checkable
class ImageSource(Protocol):
    """A set of labelled images that are read by row: an `ImageSet`, or the official release's `ReleaseSet`."""

    folder: Path
    manifest: dict[str, Any]
    rows: list[Row]

    def split(self, split: str) -> list[Row]:
        """The rows of one split, in the set's order."""
        ...

    def by_id(self, ids: Iterable[str]) -> list[Row]:
        """The rows of these ids, in their order."""
        ...

    def read(self, row: Row) -> bytes:
        """The bytes of one image: JPEG, or PNG of a mask."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...


def load_pixels(
    images: ImageSource, rows: Sequence[Row], *, size: int | None, folder: Path | None, workers: int, label: str
) -> UInt8[np.ndarray, "n s s 3"]:
    """Decode images, in the order of `rows`, resized to `size` x `size` (None: as large as the first one is).

    With a `folder` of its own the array is memory-mapped there and a killed run goes on where it was; without one it is
    in memory. `workers` threads decode (OpenCV lets go of Python's lock); `label` names the progress bar.

    Raises InputError where an image cannot be decoded, or is not square, naming it.
    """
    return _load(images, rows, _image_at, channels=(3,), size=size, folder=folder, workers=workers, label=label)


def load_masks(
    masks: ImageSource, rows: Sequence[Row], *, size: int | None, folder: Path | None, workers: int, label: str
) -> Bool[np.ndarray, "n s s"]:
    """Decode masks as `load_pixels` decodes images; resized, a pixel is foreground where half of what it covers is."""
    return _load(masks, rows, _mask_at, channels=(), size=size, folder=folder, workers=workers, label=label).view(bool)


def _image_at(data: bytes, size: int | None) -> UInt8[np.ndarray, "h w 3"]:
    image = decode_image(data)
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
    *,
    channels: tuple[int, ...],
    size: int | None,
    folder: Path | None,
    workers: int,
    label: str,
) -> np.ndarray:
    if not rows:
        raise InputError(f"{images.folder} holds no images for {label}: render the set again, or raise its counts")
    side = size or decode(images.read(rows[0]), None).shape[0]
    shape = (len(rows), side, side, *channels)
    array = np.empty(shape, np.uint8) if folder is None else _open_array(folder, shape, _identity(images, rows))

    def decode_into(index: int, data: bytes) -> None:
        try:
            pixels = decode(data, size)
        except InputError as error:
            raise InputError(f"image {rows[index].id} of {images.folder}: {error}; make or download it again") from None
        if pixels.shape != shape[1:]:
            raise InputError(
                f"image {rows[index].id} of {images.folder} is {pixels.shape[0]}x{pixels.shape[1]}, expected "
                f"{side}x{side} (height x width): make or download it again"
            )
        array[index] = pixels

    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(rows), desc=label, unit="img", mininterval=1.0) as bar:
        for start in range(0, len(rows), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(rows)))
            done = folder / f"{start:08d}.done" if folder else None
            if not (done and done.exists()):
                for _ in pool.map(decode_into, chunk, [images.read(rows[index]) for index in chunk]):
                    pass
                if done:
                    done.touch()
            bar.update(len(chunk))
    return array


def _open_array(folder: Path, shape: tuple[int, ...], identity: str) -> np.memmap:
    """The array in `folder`; one of other images or another size is written anew."""
    mark = folder / "identity"
    if mark.is_file() and mark.read_text() == f"{identity} {shape}":
        return np.lib.format.open_memmap(folder / _ARRAY, mode="r+")
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.done"):
        stale.unlink()
    create_array(folder / _ARRAY, np.uint8, shape)
    mark.write_text(f"{identity} {shape}")
    return np.lib.format.open_memmap(folder / _ARRAY, mode="r+")


def _identity(images: ImageSource, rows: Sequence[Row]) -> str:
    digest = hashlib.sha256(repr(sorted(images.manifest["shards"].items())).encode())
    digest.update("\n".join(row.id for row in rows).encode())
    return digest.hexdigest()
