"""The corrupted photos of the plain command: made from `--data` now, or those of `--corrupted`."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.class_files import read_class_csv
from bgdata.compose.names import FG_MASK
from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES, STANDARD, Corruption
from bgdata.corrupt.data import CorruptedData
from bgdata.corrupt.live import LiveCorruptions
from bgdata.corrupt.opening import Choice, choose_corruptions, open_corrupted, open_photos
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from pipeline._judging import data_classes, open_data
from pipeline._recipes import SPLIT

# What `--names` takes besides names.
NAMES = {"standard": tuple(STANDARD), "all": tuple(CORRUPTIONS)}
# Of the files that are made now, as ImageNet-C's.
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class Door:
    """What is judged: which cells of which photos, and the sets that they are of."""

    data: CorruptedData
    corruptions: Sequence[Corruption]
    sources: Mapping[str, ImageSource]


def open_door(arguments: argparse.Namespace, keep: Path) -> Door:
    """The corrupted photos that the command line asks for; photos that are corrupted now are decoded to `keep`.

    Raises InputError where they are not there, or not as asked for.
    """
    return _made_now(arguments, keep) if arguments.corrupted is None else _made_already(arguments, keep)


def _made_now(arguments: argparse.Namespace, keep: Path) -> Door:
    settings = CorruptionSettings(
        names=_names(arguments) or list(STANDARD),
        severities=_each_once(arguments.severities or SEVERITIES),
        regions=_each_once(arguments.regions or ["whole"]),
        store=False,
        jpeg_quality=_JPEG_QUALITY,
    )
    sources = open_data(arguments, ("original", FG_MASK) if settings.need_masks else ("original",))
    data_classes(arguments, sources)
    data = LiveCorruptions(
        sources["original"],
        sources.get(FG_MASK),
        settings,
        seed=arguments.seed or 0,
        workers=arguments.workers,
        split=arguments.split,
        cache=keep / "pixels",
    )
    return Door(data, data.corruptions, sources)


def _made_already(arguments: argparse.Namespace, keep: Path) -> Door:
    if arguments.split != SPLIT:
        raise InputError(f"--corrupted holds photos of the split {SPLIT}, not {arguments.split}: leave --split out")
    classes = None if arguments.classes is None else read_class_csv(arguments.classes)
    sources: dict[str, ImageSource] = {}
    if arguments.data is not None and (arguments.data.is_file() or (arguments.data / "original").is_dir()):
        names = ("original", FG_MASK) if (arguments.data / FG_MASK).is_dir() else ("original",)
        sources = open_data(arguments, names)
    elif arguments.data is not None:
        sources = {"original": open_photos(arguments.data, classes)}
    if sources:
        classes = data_classes(arguments, sources)
    data = open_corrupted(
        arguments.corrupted,
        originals=sources.get("original"),
        masks=sources.get(FG_MASK),
        classes=classes,
        cache=keep / "pixels",
        workers=arguments.workers,
    )
    asked = (None if given is None else _each_once(given) for given in (arguments.severities, arguments.regions))
    choice = Choice(_names(arguments), *asked)
    return Door(data, choose_corruptions(data, choice, where=arguments.corrupted), sources)


def _names(arguments: argparse.Namespace) -> list[str] | None:
    """The corruptions that are named, `standard` and `all` spelt out."""
    if arguments.names is None:
        return None
    return _each_once(name for given in arguments.names for name in NAMES.get(given, (given,)))


def _each_once(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
