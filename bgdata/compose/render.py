"""The second pass of rendering: all variants of a photo at once, shard by shard, in several processes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgdata.classes import ClassList, check_same
from bgdata.compose.background import BackgroundChoice, tile_background
from bgdata.compose.crops import Crops, crop_photos, open_crops
from bgdata.compose.names import FG_MASK, MIXED, VARIANTS
from bgdata.compose.paste import feathered
from bgdata.compose.place import KEPT, Place, photo_place, placed
from bgdata.compose.settings import PlacementSettings, RenderLooks, RenderSettings
from bgdata.compose.variants import UNMIXED, Cutout, mixed
from bgdata.errors import InputError
from bgdata.geometry import Box, CentreCrop
from bgdata.io import encode_jpeg, encode_mask
from bgdata.parallel import run_tasks
from bgdata.randomness import image_generators, seeded_order
from bgdata.shards import (
    SPLITS,
    ImageSet,
    Row,
    ShardWriter,
    finish_set,
    shard_is_written,
    shard_name,
    write_rejected,
)

SETS = (*VARIANTS, FG_MASK)
COLUMNS = ("background", "background_label", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Chosen:
    """Whose background was drawn: the photo's id, label (None: unknown) and position, and the box that is tiled; and
    where the foreground goes.
    """

    id: str
    label: int | None
    position: int
    box: Box | None = None
    place: Place = KEPT


@dataclass(frozen=True)
class PlannedPhoto:
    """One photo to render: its position among the crops, its box, and whose background each mixed variant takes."""

    row: Row
    position: int
    box: Box
    backgrounds: dict[str, Chosen]  # by mixed variant


def render_sets(photos: Path, masks: Path, *, settings: RenderSettings, seed: int, work: Path, workers: int) -> None:
    """Render the eight variants and `fg_mask` of all photos that have a mask, each a set in `work/<variant>`.

    Photos whose foreground lies outside the crop, or whose box leaves no background, are left out and counted. The
    bytes depend on the photos, masks, settings and seed, not on the workers; a killed run goes on.

    Raises InputError where a class has too few photos for its mixed variants.
    """
    crop = CentreCrop(settings.resize, settings.size)
    classes = _classes_of(photos, masks)
    rows, crops = crop_photos(photos, masks, crop=crop, work=work / "crops", workers=workers)
    plan, rejected = plan_photos(rows, crops, classes=classes, settings=settings, seed=seed)
    tasks = list(_shard_tasks(plan, settings, work))
    run_tasks(
        _render_shard, tasks, workers=workers, total=sum(len(task[0]) for task in tasks), label="render", unit="photo"
    )
    for name in SETS:
        notes = {"rejected": write_rejected(work / name, rejected), "seed": seed, "settings": settings.model_dump()}
        finish_set(work / name, classes=classes, columns=COLUMNS, notes=notes)


def _classes_of(photos: Path, masks: Path) -> ClassList:
    with ImageSet(photos, rows=()) as photo_set, ImageSet(masks, rows=()) as mask_set:
        return check_same({str(photos): photo_set.classes, str(masks): mask_set.classes})


def plan_photos(
    rows: Sequence[Row], crops: Crops, *, classes: ClassList, settings: RenderSettings, seed: int
) -> tuple[list[PlannedPhoto], list[dict[str, Any]]]:
    """Decide what is rendered and every background, from (seed, image id) alone; returns (plan, rejected rows)."""
    reasons = list(crops.reasons)
    for positions in _by_class(rows, reasons).values():
        if limit := getattr(settings.per_class, rows[positions[0]].split):
            order = seeded_order(seed, [rows[position].id for position in positions], "render.per_class")
            for surplus in order[limit:]:
                reasons[positions[surplus]] = "class_is_full"
    rejected = [
        {"id": row.id, "split": row.split, "label": row.label, "reason": reason}
        for row, reason in zip(rows, reasons, strict=True)
        if reason
    ]
    places = {row.id: position for position, row in enumerate(rows)}
    by_class = _by_class(rows, reasons)
    plan = []
    for split in SPLITS:
        ids = {label: [rows[place].id for place in found] for (of, label), found in by_class.items() if of == split}
        choices = background_choices(BackgroundChoice(ids, classes), settings)
        order = sorted(place for (of, _), found in by_class.items() if of == split for place in found)
        draws = draw_backgrounds(choices, [rows[place] for place in order], seed=seed)
        for place, drawn in zip(order, draws, strict=True):
            plan.append(_plan_photo(rows[place], place, drawn, places, crops.boxes, settings.placement, seed))
    if not plan:
        raise InputError("no photo is left to render: see rejected.csv of data/in9/masks and data/in9/photos")
    return plan, rejected


Choose = Callable[[str, int, np.random.Generator], tuple[str, int]]


def background_choices(choice: BackgroundChoice, settings: RenderLooks) -> dict[str, Choose]:
    """How each mixed variant draws its backgrounds."""
    rand = choice.any_class if settings.mixed_rand_from == "any_class" else choice.other_class
    return dict(zip(MIXED, (choice.same_class, rand, choice.next_class), strict=True))


def draw_backgrounds(
    choices: Mapping[str, Choose], photos: Sequence[Row], *, seed: int
) -> Iterator[dict[str, tuple[str, int]]]:
    """For each photo the id and label of its background in each mixed variant, from (seed, image id, variant) alone."""
    ids = [photo.id for photo in photos]
    generators = [image_generators(seed, ids, variant) for variant in choices]
    for photo, *own in zip(photos, *generators, strict=True):
        drawn = zip(choices.items(), own, strict=True)
        yield {variant: choose(photo.id, photo.label, rng) for (variant, choose), rng in drawn}


def _plan_photo(
    row: Row,
    position: int,
    drawn: Mapping[str, tuple[str, int]],
    places: dict[str, int],
    boxes: Sequence[Box | None],
    placement: PlacementSettings,
    seed: int,
) -> PlannedPhoto:
    backgrounds = {}
    for variant, (other, label) in drawn.items():
        place = photo_place(placement, seed=seed, photo=row.id, variant=variant)
        backgrounds[variant] = Chosen(other, label, places[other], _present(boxes[places[other]]), place)
    return PlannedPhoto(row, position, _present(boxes[position]), backgrounds)


def _present(box: Box | None) -> Box:
    assert box is not None, "photos without a box were left out of the plan"
    return box


def _by_class(rows: Sequence[Row], reasons: Sequence[str | None]) -> dict[tuple[str, int], list[int]]:
    places: dict[tuple[str, int], list[int]] = {}
    for position, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
        if reason is None:
            places.setdefault((row.split, row.label), []).append(position)
    return places


def _shard_tasks(
    plan: Sequence[PlannedPhoto], settings: RenderSettings, work: Path
) -> Iterator[tuple[list[PlannedPhoto], str, RenderSettings, Path]]:
    for split in SPLITS:
        photos = [photo for photo in plan if photo.row.split == split]
        for number, start in enumerate(range(0, len(photos), settings.images_per_shard)):
            shard = shard_name(split, number)
            if not all(shard_is_written(work / name, shard) for name in SETS):
                yield photos[start : start + settings.images_per_shard], shard, settings, work


def _render_shard(photos: Sequence[PlannedPhoto], shard: str, settings: RenderSettings, work: Path) -> int:
    crops = open_crops(work / "crops", [], [])
    with ExitStack() as stack:
        writers = {name: stack.enter_context(ShardWriter(work / name, shard)) for name in SETS}
        for photo in photos:
            for name, row, data in _render_photo(photo, crops, settings):
                writers[name].add(row, data)
    return len(photos)


def _render_photo(photo: PlannedPhoto, crops: Crops, settings: RenderSettings) -> Iterator[tuple[str, Row, bytes]]:
    cutout = cut_out(photo, crops, settings)
    row = rendered_row(photo, photo.row.id)
    for variant, make in UNMIXED.items():
        yield variant, row, encode_jpeg(make(cutout), settings.jpeg_quality)

    def tiled(chosen: Chosen) -> np.ndarray:
        return tile_background(crops.pixels[chosen.position], _present(chosen.box))

    yield from mixed_members(photo, cutout, tiled, settings)
    yield FG_MASK, rendered_row(photo, photo.row.id, ending="png"), encode_mask(crops.masks[photo.position])


def cut_out(photo: PlannedPhoto, crops: Crops, settings: RenderLooks) -> Cutout:
    """A photo of the plan with its foreground, hard or soft."""
    mask = crops.masks[photo.position]
    alpha = mask if settings.edge == "hard" else feathered(mask, settings.feather)
    return Cutout(crops.pixels[photo.position], alpha, photo.box)


def mixed_members(
    photo: PlannedPhoto, cutout: Cutout, behind: Callable[[Chosen], np.ndarray], settings: RenderLooks
) -> Iterator[tuple[str, Row, bytes]]:
    """The photo's mixed variants, each with its row, by variant; `behind` reads the background that was chosen."""
    for variant, chosen in photo.backgrounds.items():
        label = "" if chosen.label is None else chosen.label
        row = rendered_row(photo, f"fg_{photo.row.id}_bg_{chosen.id}", background=chosen.id, background_label=label)
        yield variant, row, encode_jpeg(mixed(placed(cutout, chosen.place), behind(chosen)), settings.jpeg_quality)


def rendered_row(
    photo: PlannedPhoto, stem: str, *, ending: str = "JPEG", background: str = "", background_label: int | str = ""
) -> Row:
    """The row of an image that was made of a photo."""
    box = {name: str(value) for name, value in zip(("x0", "y0", "x1", "y1"), photo.box, strict=True)}
    return Row(
        id=photo.row.id,
        split=photo.row.split,
        label=photo.row.label,
        wnid=photo.row.wnid,
        name=photo.row.name_beside(stem, ending),
        extra={"background": background, "background_label": str(background_label), **box},
    )
