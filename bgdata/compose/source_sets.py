"""The sets of a further source of backgrounds: the backgrounds alone, and the mixed variants on them.

Source: Xiao et al. 2021, table 1, whose tiles are what other sources stand in for.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgdata.classes import ClassList, check_same
from bgdata.compose.background import BackgroundChoice
from bgdata.compose.crops import Crops, crop_photos, open_crops
from bgdata.compose.names import background_set, mixed_sets
from bgdata.compose.render import (
    COLUMNS,
    Chosen,
    PlannedPhoto,
    background_choices,
    cut_out,
    mixed_members,
)
from bgdata.compose.settings import RenderLooks
from bgdata.errors import InputError
from bgdata.geometry import CentreCrop
from bgdata.io import encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generator
from bgdata.shards import (
    ImageSet,
    Row,
    ShardWriter,
    finish_set,
    shard_is_written,
    shard_name,
    write_rejected,
    write_shard,
)


@dataclass(frozen=True)
class Inputs:
    """The sets that a source is made from: photos, their masks, and `original`, which says which photos render kept."""

    photos: Path
    masks: Path
    originals: Path


@dataclass(frozen=True)
class Foregrounds:
    """The photos of `original` in some splits, cropped: rows, crops in their order, and where these lie."""

    rows: list[Row]
    crops: Crops
    folder: Path
    classes: ClassList

    def planned(self, position: int, backgrounds: dict[str, Chosen]) -> PlannedPhoto:
        """The photo at a position, to be put on these backgrounds (by mixed variant)."""
        box = self.crops.boxes[position]
        assert box is not None, "render kept it"
        return PlannedPhoto(self.rows[position], position, box, backgrounds)


@dataclass(frozen=True)
class Background:
    """A background: its row in its set, its position in the array of pixels, its class (None: unknown)."""

    row: Row
    position: int
    label: int | None


@dataclass(frozen=True)
class SourceSets:
    """A source's sets: where their folders are, how they look, and the array (`n c c 3`) of backgrounds unencoded."""

    name: str
    work: Path
    looks: RenderLooks
    seed: int
    pixels: Path

    @property
    def backgrounds(self) -> Path:
        """The folder of the set of the backgrounds alone."""
        return self.work / background_set(self.name)


def foreground_rows(originals: Path, splits: Sequence[str]) -> tuple[list[Row], ClassList]:
    """The photos that give the foregrounds, in the order in which render drew backgrounds, and their classes.

    Raises InputError where a split has none.
    """
    with ImageSet(originals) as images:
        for split in splits:
            if not images.split(split):
                raise InputError(f"{originals} has no photo of the split {split}: take it out of the source's `splits`")
        return [row for row in images.rows if row.split in splits], images.classes


def open_foregrounds(
    inputs: Inputs, *, splits: Sequence[str], crop: CentreCrop, folder: Path, workers: int
) -> Foregrounds:
    """Crop the photos of `original` in these splits into `folder`; see `foreground_rows`.

    Raises InputError where the sets differ in their classes.
    """
    kept, classes = foreground_rows(inputs.originals, splits)
    with ImageSet(inputs.photos, rows=()) as photos:
        check_same({str(inputs.originals): classes, str(inputs.photos): photos.classes})
    ids = [row.id for row in kept]
    rows, crops = crop_photos(inputs.photos, inputs.masks, crop=crop, work=folder, workers=workers, ids=ids)
    return Foregrounds(rows, crops, folder, classes)


def check_pools(
    foregrounds: Sequence[Row],
    classes: ClassList,
    pools: Sequence[tuple[str, int]],
    *,
    least: int,
    advice: Callable[[str, int], str],
) -> None:
    """Raise InputError where a class has fewer than `least` backgrounds in a split (`pools`: split and label of each).

    The classes that count are those of the foregrounds, and the next of each. `advice` is what to do (split, label).
    """
    counts, own = Counter(pools), {(row.split, row.label) for row in foregrounds}
    following = {(split, (label + 1) % len(classes)) for split, label in own}
    for split, label in sorted(own | following):
        if (count := counts[split, label]) < least:
            raise InputError(
                f"class {classes.folders[label]} has {count or 'no'} usable background{'s' * (count != 1)} in {split}, "
                f"expected at least {least}: {advice(split, label)}"
            )


def plan_mixed(
    foregrounds: Foregrounds, backgrounds: Sequence[Background], sets: SourceSets, *, by_class: bool
) -> list[PlannedPhoto]:
    """The background of each foreground in each mixed variant, from (seed, image id, variant) alone, as render draws.

    Where the classes of backgrounds are unknown (`by_class` is false), there is mixed_rand alone, of any photo.
    """
    plan = []
    for split in dict.fromkeys(row.split for row in foregrounds.rows):
        there = {each.row.id: each for each in backgrounds if each.row.split == split}
        ids: dict[int, list[str]] = {}
        for each in there.values():
            ids.setdefault(each.label or 0, []).append(each.row.id)
        choice = BackgroundChoice(ids, foregrounds.classes)
        choices = background_choices(choice, sets.looks) if by_class else {"mixed_rand": choice.any_class}
        for position, row in enumerate(foregrounds.rows):
            if row.split != split:
                continue
            drawn = {}
            for variant, choose in choices.items():
                other, _ = choose(row.id, row.label, image_generator(sets.seed, row.id, variant))
                drawn[variant] = Chosen(other, there[other].label, there[other].position)
            plan.append(foregrounds.planned(position, drawn))
    return plan


def write_backgrounds(
    sets: SourceSets,
    backgrounds: Sequence[Background],
    *,
    classes: ClassList,
    columns: Sequence[str],
    rejected: Sequence[Mapping[str, Any]],
    notes: Mapping[str, Any],
    workers: int,
) -> dict[str, Any]:
    """Write the set of the backgrounds alone, and what was `rejected`; returns its manifest. A killed run goes on."""
    folder = sets.backgrounds
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [
        (sets, chunk, folder, shard)
        for shard, chunk in _shards(backgrounds, sets.looks.images_per_shard, lambda each: each.row.split)
        if not shard_is_written(folder, shard)
    ]
    total = sum(len(task[1]) for task in tasks)
    run_tasks(_write_backgrounds_shard, tasks, workers=workers, total=total, label=folder.name, unit="photo")
    notes = {"rejected": write_rejected(folder, rejected), **notes}
    return finish_set(folder, classes=classes, columns=columns, notes=notes)


def write_mixed(
    sets: SourceSets,
    plan: Sequence[PlannedPhoto],
    foregrounds: Foregrounds,
    *,
    notes: Mapping[str, Any],
    missing: str,
    workers: int,
) -> None:
    """Write the mixed variants; those that the plan has not are finished sets without images, `missing` says why."""
    names = mixed_sets(sets.name)
    written = {variant: names[variant] for variant in plan[0].backgrounds}
    for name in names.values():
        (sets.work / name).mkdir(parents=True, exist_ok=True)
    tasks = [
        (sets, chunk, foregrounds.folder, written, shard)
        for shard, chunk in _shards(plan, sets.looks.images_per_shard, lambda photo: photo.row.split)
        if not all(shard_is_written(sets.work / name, shard) for name in written.values())
    ]
    total = sum(len(task[1]) for task in tasks)
    run_tasks(_write_mixed_shard, tasks, workers=workers, total=total, label=f"mixed_{sets.name}", unit="photo")
    for variant, name in names.items():
        why = {} if variant in written else {"empty": missing}
        finish_set(sets.work / name, classes=foregrounds.classes, columns=COLUMNS, notes={**notes, **why})


def _shards(items: Sequence[Any], size: int, split_of: Callable[[Any], str]) -> Iterator[tuple[str, Sequence[Any]]]:
    splits: dict[str, list[Any]] = {}
    for item in items:
        splits.setdefault(split_of(item), []).append(item)
    for split, members in splits.items():
        for number, start in enumerate(range(0, len(members), size)):
            yield shard_name(split, number), members[start : start + size]


def _write_backgrounds_shard(sets: SourceSets, backgrounds: Sequence[Background], folder: Path, shard: str) -> int:
    pixels = np.load(sets.pixels, mmap_mode="r")
    members = (
        (each.row, encode_jpeg(np.asarray(pixels[each.position]), sets.looks.jpeg_quality)) for each in backgrounds
    )
    write_shard(folder, shard, members)
    return len(backgrounds)


def _write_mixed_shard(
    sets: SourceSets, photos: Sequence[PlannedPhoto], crops_folder: Path, names: Mapping[str, str], shard: str
) -> int:
    crops, pixels = open_crops(crops_folder, [], []), np.load(sets.pixels, mmap_mode="r")

    def behind(chosen: Chosen) -> np.ndarray:
        return np.asarray(pixels[chosen.position])

    with ExitStack() as stack:
        writers = {
            variant: stack.enter_context(ShardWriter(sets.work / name, shard)) for variant, name in names.items()
        }
        for photo in photos:
            cutout = cut_out(photo, crops, sets.looks)
            for variant, row, data in mixed_members(photo, cutout, behind, sets.looks):
                writers[variant].add(row, data)
    return len(photos)
