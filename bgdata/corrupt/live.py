"""Corrupted photos made while they are read: the same bytes as the stored sets', without their room on the disk."""

import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np

from bgdata.corrupt.chunks import chunks_of, decoded_chunks
from bgdata.corrupt.corruptions import Corruption, corrupt_image
from bgdata.corrupt.data import Chunk
from bgdata.corrupt.sets import OURS, SPLIT, encode_corrupted, source_digest
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.corrupt.stored import corruption_record
from bgdata.engines.local import worker_processes, worker_was_killed
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_masks, load_pixels
from bgdata.shards import Row

# Photos that a worker takes at once, and chunks that are on their way while the caller works on another.
_PIECE = 8
_AHEAD = 2


@dataclass(frozen=True)
class _Photos:
    """Decoded photos and masks as other processes find them, and how they are corrupted."""

    pixels: str
    masks: str | None
    seed: int
    jpeg_quality: int | None


class LiveCorruptions:
    """Photos corrupted on the fly (see `CorruptedData`), by `workers` processes (1: a thread of this one).

    The photos are decoded once into an array in `cache` that all processes map (see `load_pixels`; without one into a
    temporary folder). They are encoded and decoded as those of stored sets: the same pixels, bit for bit.

    Raises InputError where there is no photo, or a region needs masks and a photo has none.
    """

    source = OURS

    def __init__(
        self,
        originals: ImageSource,
        masks: ImageSource | None,
        settings: CorruptionSettings,
        *,
        seed: int,
        workers: int,
        split: str = SPLIT,
        cache: Path | None = None,
    ) -> None:
        self.classes = originals.classes
        self.corruptions: Sequence[Corruption] = settings.corruptions()
        self._settings, self._seed, self._workers = settings, seed, workers
        self._originals, self._rows = originals, originals.split(split)
        self._masks = masks if settings.need_masks else None
        if not self._rows:
            raise InputError(f"{originals.folder} has no {split} photo to corrupt: choose another split")
        if settings.need_masks and masks is None:
            raise InputError(
                f"the regions {', '.join(settings.regions)} need masks, and {originals.folder} has none beside it: "
                "give its masks, or take region whole"
            )
        made_of = {"originals": originals, "masks": self._masks}
        digests = {name: source_digest(images) for name, images in made_of.items() if images is not None}
        made = {"seed": seed, "jpeg_quality": settings.jpeg_quality, **digests}
        self.record = corruption_record(made)
        self.digest = hashlib.sha256(json.dumps([made, split, code_digest()]).encode()).hexdigest()[:16]
        self._cache = self._temporary_folder() if cache is None else cache

    def clean(self) -> Iterator[Chunk]:
        """The photos as they were."""
        start, pixels = 0, _mapped(self._photos.pixels)
        for part in chunks_of(self._rows):
            yield part, np.array(pixels[start : start + len(part)])
            start += len(part)

    def corrupted(self, corruption: Corruption) -> Iterator[Chunk]:
        """The photos under one of `corruptions`.

        Raises InputError where it is none of them, or a worker was killed.
        """
        if corruption not in self.corruptions:
            raise InputError(f"{corruption.folder} is none of the corruptions that were asked for: ask for it")
        positions = {row.id: position for position, row in enumerate(self._rows)}
        make = partial(_corrupted_files, self._photos, corruption)
        return decoded_chunks(
            self._rows,
            partial(_made, self._executor, make, positions),
            side=_mapped(self._photos.pixels).shape[1],
            place=lambda row: f"{corruption.folder} of {row.id}",
            workers=self._workers,
            ahead=_AHEAD,
        )

    def close(self) -> None:
        """End the workers; they also end with this object, and with the process."""
        if "_executor" in self.__dict__:
            self._executor.shutdown(wait=False, cancel_futures=True)
            del self._executor

    @cached_property
    def _executor(self) -> Executor:
        executor = ThreadPoolExecutor(1) if self._workers == 1 else worker_processes(self._workers)
        weakref.finalize(self, executor.shutdown, wait=False, cancel_futures=True)
        return executor

    @cached_property
    def _photos(self) -> _Photos:
        def decoded(load: Callable[..., np.ndarray], images: ImageSource, rows: Sequence[Row]) -> str:
            home = self._cache / images.folder.name
            array = load(images, rows, size=None, folder=home, workers=self._workers, label=home.name)
            assert isinstance(array, np.memmap), "what was loaded into a folder is mapped from there"
            return str(array.filename)

        masks = self._masks
        return _Photos(
            decoded(load_pixels, self._originals, self._rows),
            None if masks is None else decoded(load_masks, masks, masks.by_id(row.id for row in self._rows)),
            self._seed,
            self._settings.jpeg_quality,
        )

    def _temporary_folder(self) -> Path:
        folder = tempfile.mkdtemp(prefix="corruptions-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


def code_digest() -> str:
    """The code of the corruptions, in 16 hexadecimal digits: it decides pixels as the seed does."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _made(
    executor: Executor,
    make: Callable[[Sequence[tuple[int, str]]], list[bytes]],
    positions: Mapping[str, int],
    part: Sequence[Row],
) -> Iterator[bytes]:
    """The files of some photos, a few photos at a time in each worker."""
    photos = [(positions[row.id], row.id) for row in part]
    try:
        begun = [executor.submit(make, photos[start : start + _PIECE]) for start in range(0, len(photos), _PIECE)]
        for done in begun:
            yield from done.result()
    except BrokenProcessPool as error:
        raise worker_was_killed() from error


def _corrupted_files(photos: _Photos, corruption: Corruption, piece: Sequence[tuple[int, str]]) -> list[bytes]:
    """Some photos (position, id) corrupted, as their files; in a worker."""
    pixels = _mapped(photos.pixels)
    masks = None if photos.masks is None else _mapped(photos.masks).view(bool)
    files = []
    for position, image_id in piece:
        mask = None if masks is None else np.asarray(masks[position])
        photo = np.asarray(pixels[position])
        try:
            image = corrupt_image(photo, corruption, seed=photos.seed, image_id=image_id, mask=mask)
        except InputError as error:
            raise InputError(f"photo {image_id} or its mask: {error}") from None
        files.append(encode_corrupted(image, photos.jpeg_quality))
    return files


@lru_cache(maxsize=2)
def _mapped(path: str) -> np.ndarray:
    return np.load(path, mmap_mode="r")
