"""The sets of a further source of backgrounds: the backgrounds alone, and the mixed variants on them.

Source: Xiao et al. 2021, table 1, whose tiles are what other sources stand in for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgdata.classes import ClassList
from bgdata.compose.background import BackgroundChoice
from bgdata.compose.crops import open_crops
from bgdata.compose.foregrounds import Foregrounds
from bgdata.compose.names import background_set, mixed_sets
from bgdata.compose.place import photo_place
from bgdata.compose.render import (
    COLUMNS,
    Chosen,
    PlannedPhoto,
    background_choices,
    cut_out,
    draw_backgrounds,
    mixed_members,
)
from bgdata.compose.settings import RenderLooks
from bgdata.io import encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.shards import (
    Row,
    ShardWriter,
    finish_set,
    shard_is_written,
    shard_name,
    write_rejected,
    write_shard,
)


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
        positions = [position for position, row in enumerate(foregrounds.rows) if row.split == split]
        rows = [foregrounds.rows[position] for position in positions]
        for position, row, drawn in zip(positions, rows, draw_backgrounds(choices, rows, seed=sets.seed), strict=True):
            chosen = {}
            for variant, (other, _) in drawn.items():
                place = photo_place(sets.looks.placement, seed=sets.seed, photo=row.id, variant=variant)
                chosen[variant] = Chosen(other, there[other].label, there[other].position, place=place)
            plan.append(foregrounds.planned(position, chosen))
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
