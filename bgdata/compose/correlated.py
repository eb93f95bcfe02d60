"""Sets in which class and background go together as often as one chooses: Waterbirds, of any photos.

Source: Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group Shifts", section 4.1; their generator
draws without a seed, and from two classes alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgdata.classes import ClassList, check_same
from bgdata.compose.background import BackgroundChoice
from bgdata.compose.background_classes import UNKNOWN, class_list_of, labels_of_backgrounds
from bgdata.compose.paste import paste_foreground
from bgdata.compose.settings import CorrelatedSettings
from bgdata.errors import InputError
from bgdata.io import decode_image, decode_mask, encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generator, seeded_order
from bgdata.shards import SPLITS, ImageSet, Row, finish_set, rows_by_id, shard_is_written, shard_name, write_shard

COLUMNS = ("background", "background_label", "on_partner")


@dataclass(frozen=True)
class Planned:
    """One image of the set: the rows of its photo, mask and background, the background's class, and whether that is
    the partner of the photo's.
    """

    photo: Row
    mask: Row
    background: Row
    background_label: int
    on_partner: bool


@dataclass(frozen=True)
class CorrelatedSet:
    """What a correlated set is made from: the sets `original`, `fg_mask` and a source's backgrounds, and how."""

    originals: Path
    masks: Path
    backgrounds: Path
    settings: CorrelatedSettings
    jpeg_quality: int
    images_per_shard: int
    seed: int

    def write(self, work: Path, *, workers: int) -> None:
        """Write the set into `work`: each foreground once; goes on after a kill.

        Of each class and split, `correlation` of the foregrounds (rounded to whole ones; a seeded choice that grows
        with it) stand on a background of their partner class, the others on one of any other class; none on its own.
        Splits without backgrounds are left out.

        Raises InputError where a class has no partner's background, or the sets do not belong together.
        """
        with ImageSet(self.originals) as photos, ImageSet(self.masks) as masks, ImageSet(self.backgrounds) as behind:
            classes = check_same({str(each.folder): class_list_of(each) for each in (photos, masks, behind)})
            plan = self._plan(photos, masks, behind, classes)
        tasks = []
        for split in SPLITS:
            planned = [each for each in plan if each.photo.split == split]
            for number, start in enumerate(range(0, len(planned), self.images_per_shard)):
                shard = shard_name(split, number)
                if not shard_is_written(work, shard):
                    tasks.append((self, planned[start : start + self.images_per_shard], work, shard))
        total = sum(len(task[1]) for task in tasks)
        run_tasks(_write_shard, tasks, workers=workers, total=total, label="correlate", unit="photo")
        notes = {"backgrounds": self.backgrounds.name, "seed": self.seed, "settings": self.settings.model_dump()}
        finish_set(work, classes=classes, columns=COLUMNS, notes=notes)

    def _plan(self, photos: ImageSet, masks: ImageSet, behind: ImageSet, classes: ClassList) -> list[Planned]:
        partners = partner_labels(self.settings.partners, classes)
        ids = [row.id for row in photos.rows]
        mask_rows = dict(zip(ids, rows_by_id(masks, ids, advice="render both again"), strict=True))
        plan = []
        for split in SPLITS:
            rows = photos.split(split)
            there = {row.id: row for row in behind.split(split)}
            if not there:
                continue
            found = zip(there, labels_of_backgrounds(behind, list(there.values())).tolist(), strict=True)
            labels = {photo: label for photo, label in found if label != UNKNOWN}
            if not labels:
                raise InputError(
                    f"{self.backgrounds} holds backgrounds of unknown class alone, and a correlation is with their "
                    "class: name `classes` of the source, or take another background_from"
                )
            choice = BackgroundChoice(_by_label(labels), classes)
            chosen = self._on_partner(rows)
            for row in rows:
                rng = image_generator(self.seed, row.id, f"correlated.{row.id in chosen}")
                choose = choice.same_class if row.id in chosen else choice.other_class
                drawn, label = choose(row.id, partners[row.label], rng)
                plan.append(Planned(row, mask_rows[row.id], there[drawn], label, row.id in chosen))
        return plan

    def _on_partner(self, rows: Sequence[Row]) -> set[str]:
        """The ids of the foregrounds that stand on their partner's background."""
        chosen: set[str] = set()
        for ids in _by_label({row.id: row.label for row in rows}).values():
            order = seeded_order(self.seed, ids, "correlated")
            chosen |= {ids[place] for place in order[: round(self.settings.correlation * len(ids))]}
        return chosen


def partner_labels(partners: Mapping[str, str] | None, classes: ClassList) -> list[int]:
    """The label of each class's partner, its own where none are named.

    Raises InputError where a name is none of the classes, or a class has no partner.
    """
    if partners is None:
        return list(range(len(classes)))
    for name in {*partners, *partners.values()} - set(classes.names):
        raise InputError(f"correlated.partners: {name!r} is none of the classes {classes.describe()}: correct it")
    for name in classes.names:
        if name not in partners:
            raise InputError(
                f"correlated.partners: {name} has no partner: name one for each class, or none at all (null)"
            )
    return [classes.names.index(partners[name]) for name in classes.names]


def _by_label(labels: Mapping[str, int]) -> dict[int, list[str]]:
    ids: dict[int, list[str]] = {}
    for photo, label in labels.items():
        ids.setdefault(label, []).append(photo)
    return ids


def _write_shard(made: CorrelatedSet, planned: Sequence[Planned], work: Path, shard: str) -> int:
    photos, masks, backgrounds = (
        ImageSet(folder, rows=rows)
        for folder, rows in (
            (made.originals, [each.photo for each in planned]),
            (made.masks, [each.mask for each in planned]),
            (made.backgrounds, [each.background for each in planned]),
        )
    )
    with photos, masks, backgrounds:
        write_shard(work, shard, (_made(made, each, photos, masks, backgrounds) for each in planned))
    return len(planned)


def _made(
    made: CorrelatedSet, each: Planned, photos: ImageSet, masks: ImageSet, backgrounds: ImageSet
) -> tuple[Row, bytes]:
    image = decode_image(photos.read(each.photo))
    alpha = decode_mask(masks.read(each.mask))
    behind = decode_image(backgrounds.read(each.background))
    if behind.shape != image.shape:
        raise InputError(
            f"{backgrounds.place(each.background)} is {_size(behind)}, and {photos.place(each.photo)} {_size(image)} "
            "(height x width): render both again"
        )
    pixels = paste_foreground(behind, image, alpha)
    extra = {
        "background": each.background.id,
        "background_label": str(each.background_label),
        "on_partner": str(int(each.on_partner)),
    }
    photo = each.photo
    name = photo.name_beside(f"fg_{photo.id}_bg_{each.background.id}")
    return Row(photo.id, photo.split, photo.label, photo.wnid, name, extra=extra), encode_jpeg(
        pixels, made.jpeg_quality
    )


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
