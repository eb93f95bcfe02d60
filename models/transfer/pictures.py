"""A sheet of what a network says of a few images: clean, corrupted, and before another image's background."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bgdata.masks.rle import decode_rle
from bgdata.randomness import seeded_order
from bgdata.sheets.labels import FOUND, GREY, TRUTH, ClassesCell, DrawnObject, ObjectsCell
from bgdata.sheets.sheet import Cell, Colour, PlainCell, SheetRow, draw_sheet
from bgdata.transfer_sets.base import BACKGROUND, VOID, LabelledImage, TaskSet
from models.devices import exact_arithmetic
from models.transfer.judge import JudgedConditions, TrainedNetwork
from models.transfer.summary import CLEAN, SWAPPED

IMAGES = 4
# Images that are looked at for some with objects.
_LOOKED_AT = 24
_SIDE, _QUALITY = 220, 80


def draw_examples(one: TrainedNetwork, conditions: JudgedConditions, device: torch.device, *, title: str) -> bytes:
    """A JPEG: a row for each of a few seeded images, a column for each condition: clean, the corruption in the middle
    of the list at its highest severity, and swapped where there is that. Objects: what is true in blue, found in
    orange. Classes of pixels: the truth in a column of its own.
    """
    data = conditions.clean
    chosen = _choose(data, conditions.seed)
    columns = {CLEAN: data} | _shown(conditions)
    cells: dict[str, list[Cell]] = {image_id: [] for image_id in chosen}
    one.network.to(device)
    with exact_arithmetic():
        for name, of_condition in columns.items():
            batch = [of_condition.read(image_id) for image_id in chosen]
            for found, said in zip(batch, one.task.predict(one.network, batch, device=device), strict=True):
                if name == CLEAN and data.task == "segmentation":
                    assert found.labels is not None, "it was judged"
                    cells[found.id].append(ClassesCell(found.image, found.labels, data.categories, ()))
                cells[found.id].append(_cell(found, said, data))
    heads = ["truth", *columns] if data.task == "segmentation" else [*columns]
    rows = [SheetRow(image_id, tuple(of_image)) for image_id, of_image in cells.items()]
    return draw_sheet(rows, title=title, columns=heads, legend=_legend(data.task), side=_SIDE, quality=_QUALITY)


def _choose(data: TaskSet, seed: int) -> list[str]:
    """The first images of a seeded order that have objects; others where there are too few."""
    order = [data.ids[place] for place in seeded_order(seed, data.ids, "transfer examples")]
    with_objects: list[str] = []
    without: list[str] = []
    for image_id in order[:_LOOKED_AT]:
        (with_objects if _has_objects(data.read(image_id), data) else without).append(image_id)
        if len(with_objects) == IMAGES:
            break
    return (with_objects + without)[:IMAGES]


def _has_objects(found: LabelledImage, data: TaskSet) -> bool:
    if data.task == "segmentation" and data.categories[:1] == (BACKGROUND,):
        assert found.labels is not None, "it was judged"
        return bool(((found.labels != 0) & (found.labels != VOID)).any())
    return data.task != "detection" or any(not one.crowd for one in found.instances)


def _shown(conditions: JudgedConditions) -> dict[str, TaskSet]:
    """The corrupted condition that is shown, and swapped."""
    by_corruption: dict[str, list[int]] = {}
    for name in conditions.shifted:
        if name != SWAPPED:
            corruption, severity = name.split()
            by_corruption.setdefault(corruption, []).append(int(severity))
    shown = []
    if by_corruption:
        middle = [*by_corruption][len(by_corruption) // 2]
        shown.append(f"{middle} {max(by_corruption[middle])}")
    return {name: conditions.shifted[name] for name in (*shown, SWAPPED) if name in conditions.shifted}


def _cell(found: LabelledImage, said: Any, data: TaskSet) -> Cell:
    if data.task == "detection":
        return _objects_cell(found, said, data.categories)
    if data.task == "segmentation":
        return ClassesCell(found.image, said, data.categories, ())
    assert found.label is not None, "it was judged"
    true, predicted = data.categories[found.label], data.categories[said["label"]]
    return PlainCell(found.image, (f"true: {true}", f"predicted: {predicted} {said['confidence']:.2f}"))


def _objects_cell(found: LabelledImage, said: Sequence[Mapping[str, Any]], categories: Sequence[str]) -> ObjectsCell:
    height, width = found.image.shape[:2]
    truth = [DrawnObject(one.box, one.mask, "crowd" if one.crowd else categories[one.label]) for one in found.instances]
    # As many as there are true ones: any threshold of scores would leave weak networks' pictures bare.
    surest = said[: max(len(truth), 1)]
    guessed = [
        DrawnObject(
            _edges(one["bbox"]),
            decode_rle(one["segmentation"], (height, width)),
            f"{categories[one['category_id'] - 1]} {one['score']:.2f}",
        )
        for one in reversed(surest)  # what is drawn last lies on top
    ]
    shown = f"{len(said)} found, shown: the surest {len(surest)}" if said else "nothing found"
    return ObjectsCell(found.image, truth, guessed, (shown,))


def _edges(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return x, y, x + width, y + height


def _legend(task: str) -> dict[str, Colour]:
    if task == "detection":
        return {"truth": TRUTH, "found": FOUND}
    return {"void": GREY} if task == "segmentation" else {}
