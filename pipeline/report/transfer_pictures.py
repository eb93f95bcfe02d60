"""Example pictures of the transfer, as many as the page has room for."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from bgdata.errors import InputError
from bgdata.io import decode_image, encode_jpeg
from models.transfer.result_shapes import TransferScores
from pipeline.report.pictures import data_uri

# How many, how wide in pixels, and bytes of all together, so that the page stays light.
_PICTURES, _WIDTH, _BYTES, _QUALITY = 8, 1090, 650_000, 80


def read_examples(scores: Path, by_task: Iterable[Sequence[TransferScores]]) -> tuple[dict[str, str], tuple[Path, ...]]:
    """The pictures that the page has room for, of all tasks in turn, as data URIs by key; and the others' files.

    Raises InputError where one is missing or no picture.
    """
    ranked = sorted(((place, found) for judged in by_task for place, found in enumerate(judged)), key=lambda at: at[0])
    shown: dict[str, str] = {}
    without = []
    room = _BYTES
    for _, found in ranked:
        path = scores / "transfer" / found.key / "examples.jpg"
        data = _picture(path, found.key)
        if len(shown) < _PICTURES and len(data) <= room:
            shown[found.key] = data_uri("jpeg", data)
            room -= len(data)
        else:
            without.append(path)
    return shown, tuple(without)


def _picture(path: Path, key: str) -> bytes:
    """A sheet of examples, no wider than the page.

    Raises InputError where it is missing or no picture.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing: run `dvc repro transfer_evaluate@{key}`, or `dvc repro` for all"
        ) from None
    try:
        image = decode_image(data)
    except InputError as error:
        raise InputError(f"{path}: {error}: run `dvc repro --force transfer_evaluate@{key}`") from None
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return data
    small = cv2.resize(image, (_WIDTH, round(height * _WIDTH / width)), interpolation=cv2.INTER_AREA)
    return encode_jpeg(np.asarray(small), _QUALITY)
