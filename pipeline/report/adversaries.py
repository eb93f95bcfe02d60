"""The pictures of the challenge: the backgrounds that fool most, and the foregrounds that few or many fool."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bgdata.classes import ClassList
from bgdata.compose.names import FG_MASK, TILED, background_set
from bgdata.compose.paste import paste_foreground
from bgdata.io import decode_image, decode_mask
from bgdata.shards import ImageSet
from pipeline.report.pictures import image_uri, photo_uri

_PHOTOS = "original"
SHOWN = 9  # classes whose backgrounds are shown


@dataclass(frozen=True)
class Fooling:
    """A background or a foreground: its numbers (`record`, as the challenge wrote it), and an example that fooled."""

    record: Mapping[str, Any]
    picture: str
    composite: str | None
    classes: ClassList

    @property
    def class_name(self) -> str:
        """Its class; of a background it may be unknown."""
        label = self.record["label"]
        return "unknown class" if label is None else self.classes.names[label]

    @property
    def example_class(self) -> str:
        """What the example shows."""
        return self.classes.names[self.record["example"]["label"]]

    @property
    def example_predicted(self) -> str:
        """What the example was taken for."""
        predicted = self.record["example"]["predicted"]
        known = predicted < len(self.classes)
        return self.classes.names[predicted] if known else self.classes.outside


@dataclass(frozen=True)
class Adversaries:
    """One model's: the most fooling backgrounds by class name, and the foregrounds at both ends.

    `backgrounds` are of `SHOWN` classes at most, those whose backgrounds fool most; `classes` says of how many.
    """

    backgrounds: Mapping[str, Sequence[Fooling]]
    classes: int
    robust: Sequence[Fooling]
    fragile: Sequence[Fooling]


def read_adversaries(sets: Path, record: Mapping[str, Any]) -> Adversaries:
    """Draw what a challenge's `gallery` names, from the sets below `sets`; `background_from`, where it holds it, is
    the source of its backgrounds.

    Raises InputError where a set lacks an image of it.
    """
    with ImageSet(sets / _PHOTOS, rows=()) as originals:
        classes = originals.classes
    behind = background_set(record.get("background_from", TILED))
    rated = len({row["label"] for row in record["backgrounds"]}) + record.get("classes_left_out", 0)
    shown = worst_classes(record["backgrounds"])
    record = {
        "backgrounds": [row for row in record["backgrounds"] if row["label"] in shown],
        **_apart(record["robust"], record["fragile"]),
    }
    rows = [row for kind in ("backgrounds", "robust", "fragile") for row in record[kind]]
    composites = _composites(sets, behind, [row["example"] for row in rows if row["example"] is not None])

    def drawn(kind: str, folder: str) -> list[Fooling]:
        pictures = _read(sets / folder, [row["id"] for row in record[kind]])
        return [
            Fooling(row, photo_uri(pictures[row["id"]]), row["example"] and composites[_pair(row["example"])], classes)
            for row in record[kind]
        ]

    backgrounds = drawn("backgrounds", behind)
    names = dict.fromkeys(one.class_name for one in backgrounds)
    return Adversaries(
        {name: [one for one in backgrounds if one.class_name == name] for name in names},
        rated,
        drawn("robust", _PHOTOS),
        drawn("fragile", _PHOTOS),
    )


def worst_classes(backgrounds: Sequence[Mapping[str, Any]]) -> set[int]:
    """The labels of the `SHOWN` classes whose backgrounds fool most, by their means; all where there are no more."""
    rates: dict[int, list[float]] = {}
    for row in backgrounds:
        rates.setdefault(row["label"], []).append(row["fooling_rate"])
    return set(sorted(rates, key=lambda label: (-fmean(rates[label]), label))[:SHOWN])


def _apart(robust: Sequence[Mapping[str, Any]], fragile: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where few foregrounds were rated, one is in both lists: it stays where it comes earlier."""
    first, last = ({row["id"]: rank for rank, row in enumerate(rows)} for rows in (robust, fragile))
    return {
        "robust": [row for row in robust if first[row["id"]] <= last.get(row["id"], math.inf)],
        "fragile": [row for row in fragile if last[row["id"]] < first.get(row["id"], math.inf)],
    }


def _composites(sets: Path, background_name: str, examples: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    photos, masks = (_read(sets / name, [one["foreground"] for one in examples]) for name in (_PHOTOS, FG_MASK))
    behind = _read(sets / background_name, [one["background"] for one in examples])

    def composite(photo: str, background: str) -> str:
        mask = decode_mask(masks[photo])
        return image_uri(paste_foreground(decode_image(behind[background]), decode_image(photos[photo]), mask))

    return {pair: composite(*pair) for pair in map(_pair, examples)}


def _pair(example: Mapping[str, Any]) -> tuple[str, str]:
    return example["foreground"], example["background"]


def _read(folder: Path, ids: Sequence[str]) -> dict[str, bytes]:
    with ImageSet(folder) as images:
        return {row.id: images.read(row) for row in images.by_id(dict.fromkeys(ids))}
