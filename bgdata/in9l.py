"""IN-9L: all training photos of the classes, with or without a box, as one set of centre crops."""

import dataclasses
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.geometry import CentreCrop
from bgdata.ingest import filters
from bgdata.ingest.candidates import Candidate, PhotoTree, path_within
from bgdata.ingest.filters import Found
from bgdata.ingest.inspection import check_unreadable, inspect_candidates
from bgdata.ingest.near_duplicates import keep_near_duplicates_together
from bgdata.ingest.photos import drop_shards_of_another_choice, read_photo
from bgdata.ingest.settings import FilterSettings
from bgdata.io import decode_image, encode_jpeg
from bgdata.parallel import run_tasks
from bgdata.settings import Settings
from bgdata.shards import Row, finish_set, shard_is_written, shard_name, write_rejected, write_shard

IN9L = "in9l"
SPLIT = "train"
COLUMNS = ("source",)
# Annotations are not read, so that no filter of boxes applies.
_NO_FILTER = FilterSettings(require_box=False, max_box_share=1.0, min_box_kept=0.0)


class In9LSettings(Settings):
    """What the `in9l` stage reads of other sections: those of `ingest` and `render`."""

    max_unreadable: float
    resize: int
    size: int
    jpeg_quality: int
    images_per_shard: int


def write_in9l(
    tree: PhotoTree,
    candidates: Sequence[Candidate],
    work: Path,
    *,
    settings: In9LSettings,
    excluded: Set[str] = frozenset(),
    workers: int,
) -> dict[str, Any]:
    """Write the set `work/in9l` of all train photos that decode, cropped as `original`'s; returns its manifest.

    Photos that `excluded` names are left out, and copies of them, of one another and of val photos. The bytes do not
    depend on the workers; a killed run goes on where it was.

    Raises InputError where too many photos are unreadable, or none is left.
    """
    # As ingest does, and of the same photos: what is val there must not be trained on here.
    candidates, _ = keep_near_duplicates_together(tree, candidates, work, workers=workers)
    plain = [dataclasses.replace(candidate, annotation=None) for candidate in candidates]
    found = inspect_candidates(plain, work / "inspected", settings=_NO_FILTER, workers=workers)
    check_unreadable(found, settings.max_unreadable)
    reasons = filters.drop_duplicates(found, filters.exclude(found, excluded))
    train = [(one, reason) for one, reason in zip(found, reasons, strict=True) if one[0].split == SPLIT]
    chosen = [one for one, reason in train if reason is None]
    if not chosen:
        raise InputError(
            f"{tree.home} has no train photo of {tree.classes.describe()} to train on: leave out data: {IN9L}"
        )
    drop_shards_of_another_choice(chosen, work, (IN9L,))
    _write_shards(chosen, tree, work / IN9L, settings=settings, workers=workers)
    rejected = [
        {"id": candidate.id, "split": candidate.split, "label": candidate.label, "reason": reason}
        for (candidate, _), reason in train
        if reason
    ]
    notes = {
        "candidates": len(train),
        "rejected": write_rejected(work / IN9L, rejected),
        "exclude_list": len(excluded),
        "settings": settings.model_dump(),
    }
    return finish_set(work / IN9L, classes=tree.classes, columns=COLUMNS, notes=notes)


def _write_shards(
    chosen: Sequence[Found], tree: PhotoTree, folder: Path, *, settings: In9LSettings, workers: int
) -> None:
    folder.mkdir(exist_ok=True)
    tasks = []
    for number, start in enumerate(range(0, len(chosen), settings.images_per_shard)):
        shard = shard_name(SPLIT, number)
        if not shard_is_written(folder, shard):
            tasks.append((chosen[start : start + settings.images_per_shard], tree, folder, shard, settings))
    total = sum(len(photos) for photos, *_ in tasks)
    run_tasks(_write_shard, tasks, workers=workers, total=total, label=IN9L, unit="photo")


def _write_shard(photos: Sequence[Found], tree: PhotoTree, folder: Path, shard: str, settings: In9LSettings) -> int:
    write_shard(folder, shard, (_member(one, tree, settings) for one in photos))
    return len(photos)


def _member(one: Found, tree: PhotoTree, settings: In9LSettings) -> tuple[Row, bytes]:
    candidate = one[0]
    image = CentreCrop(settings.resize, settings.size).image(decode_image(read_photo(*one)))
    assert candidate.photo, "a chosen photo has one"
    extra = {"source": path_within(tree, candidate.photo)}
    name = tree.classes.member_name(candidate.label, candidate.id)
    row = Row(candidate.id, SPLIT, candidate.label, candidate.wnid, name, extra=extra)
    return row, encode_jpeg(image, settings.jpeg_quality)
