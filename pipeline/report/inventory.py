"""What was built: how many images each set has, and what was left out on the way and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgdata.classes import ClassList, check_same, read_class_list
from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.errors import InputError
from bgdata.shards import MANIFEST
from pipeline.report.by_class import SHOWN, WHOLE


@dataclass(frozen=True)
class BuiltSet:
    """A set's images by split and class folder, as its manifest counts them."""

    name: str
    images: Mapping[str, Mapping[str, int]]

    def total(self, split: str) -> int:
        """Images of a split."""
        return sum(self.images.get(split, {}).values())


@dataclass(frozen=True)
class Sieve:
    """A stage that leaves photos out: how many came, how many stayed, how many fell to each reason."""

    stage: str
    came: int
    kept: int
    rejected: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """All sets, the list of classes that they share, and the three stages that leave photos out."""

    sets: tuple[BuiltSet, ...]
    sieves: tuple[Sieve, ...]
    masks_method: str
    classes: ClassList


def fewest(counts: Mapping[str, int]) -> str:
    """Classes and their images in a line; of many classes those with the fewest images."""
    if len(counts) <= WHOLE:
        return ", ".join(f"{folder} {count}" for folder, count in counts.items())
    some = sorted(counts.items(), key=lambda item: (item[1], item[0]))[:SHOWN]
    return f"{', '.join(f'{folder} {count}' for folder, count in some)} and {len(counts) - len(some)} more"


def read_inventory(sets: Path, *, mixed: Sequence[str]) -> Inventory:
    """Read the manifests of the photos, the masks, the variants and the mixed sets below `sets`.

    Raises InputError where one is missing, or two have different lists of classes.
    """
    names = ("photos", "masks", *VARIANTS, FG_MASK, *mixed)
    manifests = {name: _read_manifest(sets / name) for name in names}
    built = {name: BuiltSet(name, manifest["images"]) for name, manifest in manifests.items()}
    photos, masks, rendered = (manifests[name] for name in ("photos", "masks", VARIANTS[0]))
    kept = [_all_images(built[name]) for name in ("photos", "masks", VARIANTS[0])]
    return Inventory(
        sets=tuple(built.values()),
        sieves=(
            Sieve("ingest", photos["candidates"], kept[0], photos["rejected"], tuple(_ingest_notes(photos))),
            Sieve("segment", kept[0], kept[1], masks["rejected"]),
            Sieve("render", kept[1], kept[2], rendered["rejected"]),
        ),
        masks_method=masks["method"],
        classes=_read_classes(sets, manifests),
    )


def _read_classes(sets: Path, manifests: Mapping[str, Mapping[str, Any]]) -> ClassList:
    places = {str(sets / name / MANIFEST): manifest for name, manifest in manifests.items()}
    return check_same({place: read_class_list(found.get("classes"), where=place) for place, found in places.items()})


def _ingest_notes(manifest: Mapping[str, Any]) -> list[str]:
    notes = [f"{manifest['encoded_anew']} encoded anew (CMYK, or no JPEG)"] if manifest.get("encoded_anew") else []
    for split, classes in manifest.get("short_classes", {}).items():
        found = fewest(classes)
        notes.append(f"fewer {split} photos than asked for: {found}")
    return notes


def _all_images(built: BuiltSet) -> int:
    return sum(built.total(split) for split in built.images)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro`, or pull the set")
    return json.loads(path.read_text())
