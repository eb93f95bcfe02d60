"""Corrupted sets as the `corrupt` stage wrote them, read back."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bgdata.classes import read_class_list
from bgdata.corrupt.chunks import decoded_chunks
from bgdata.corrupt.corruptions import Corruption
from bgdata.corrupt.data import Chunk
from bgdata.corrupt.sets import OURS, SPLIT, source_digest
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.errors import InputError
from bgdata.io import decode_image
from bgdata.pixels import ImageSource
from bgdata.shards import MANIFEST, ImageSet


class StoredCorruptions:
    """The sets of a folder of ours (see `CorruptedData`); `originals` are the photos that they were made from.

    Raises InputError where the folder holds no stored sets of ours, or they were made from other photos.
    """

    source = OURS

    def __init__(self, folder: Path, originals: ImageSource | None, *, workers: int) -> None:
        self.folder = folder
        self._manifest = read_corrupted_manifest(folder)
        if not self._manifest["stored"]:
            raise InputError(f"{folder} holds no images (corruptions.store is false): they are to be made on the fly")
        check_made_of(self._manifest, "originals", originals, folder=folder)
        self.classes = read_class_list(self._manifest.get("classes"), where=str(folder / MANIFEST))
        self.corruptions: Sequence[Corruption] = settings_of(self._manifest, folder).corruptions()
        self.record = corruption_record(self._manifest)
        self.digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:16]
        self._originals = originals
        self._workers = workers

    def clean(self) -> Iterator[Chunk] | None:
        """The photos as they were; None where they were not given."""
        return None if self._originals is None else self._chunks(self._originals)

    def corrupted(self, corruption: Corruption) -> Iterator[Chunk]:
        """The photos under one of `corruptions`.

        Raises InputError where the set is missing, broken, or not the one that was written with the others.
        """
        folder = self.folder / corruption.folder
        expected = self._manifest["sets"].get(corruption.folder)
        if expected is None:
            raise InputError(f"{self.folder} has no {corruption.folder}: it was not asked for, add it to params.yaml")
        with ImageSet(folder) as images:
            if hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() != expected:
                raise InputError(f"{folder} is of another run than the sets beside it: pull or make them again")
            yield from self._chunks(images)

    def _chunks(self, images: ImageSource) -> Iterator[Chunk]:
        rows = images.split(SPLIT)
        if not rows:
            raise InputError(f"{images.folder} holds no photo of the split {SPLIT}: pull or make it again")
        side = decode_image(images.read(rows[0]), as_stored=True).shape[0]
        return decoded_chunks(
            rows, lambda part: map(images.read, part), side=side, place=images.place, workers=self._workers
        )


def read_corrupted_manifest(folder: Path) -> dict[str, Any]:
    """What a folder of corrupted sets says of itself (see `CorruptedSets.write`).

    Raises InputError where it is none of ours.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no corrupted sets of ours (no {MANIFEST}): run the corrupt stage first")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["source"] != OURS or not isinstance(manifest["sets"], dict):
            raise ValueError("it is of something else")
        for key in ("stored", "settings", "seed", "jpeg_quality", "originals"):
            manifest[key]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is no manifest of corrupted sets ({' '.join(str(error).split())}): give the folder around "
            "<region>/<corruption>/<severity>, or run the corrupt stage again"
        ) from None
    return dict(manifest)


def settings_of(manifest: dict[str, Any], folder: Path) -> CorruptionSettings:
    """The settings that a folder's manifest names."""
    try:
        return CorruptionSettings.model_validate(manifest["settings"])
    except ValidationError as error:
        what = "; ".join(str(detail["msg"]) for detail in error.errors())
        raise InputError(f"{folder / MANIFEST} is broken ({what}): run the corrupt stage again") from None


def corruption_record(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a result says of corrupted photos of ours, stored or made: the same for the same bytes."""
    quality = manifest["jpeg_quality"]
    encoding = "PNG" if quality is None else f"JPEG, quality {quality}"
    record = {"source": OURS, "seed": manifest["seed"], "encoding": encoding}
    return record | {name: manifest[name] for name in ("originals", "masks") if name in manifest}


def check_made_of(manifest: dict[str, Any], name: str, images: ImageSource | None, *, folder: Path) -> None:
    """Raise InputError where a folder's sets were made from others than these `images` (None: nobody gave any)."""
    if images is not None and source_digest(images) != manifest.get(name):
        raise InputError(
            f"{folder} was made from other {name} than {images.folder}: run the corrupt stage again, or give those"
        )
