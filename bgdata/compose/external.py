"""Backgrounds of a folder of photos without objects (Places365, DTD ...), by class or not."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bgdata.classes import ClassList, plain_class_list
from bgdata.compose.background_classes import NOTE
from bgdata.compose.chunked import make_images
from bgdata.compose.foregrounds import Inputs, check_pools, foreground_rows, open_foregrounds
from bgdata.compose.listing import Listing
from bgdata.compose.settings import BackgroundsJob, ExternalSettings
from bgdata.compose.source_sets import Background, SourceSets, plan_mixed, write_backgrounds, write_mixed
from bgdata.errors import InputError
from bgdata.foreign_images import plain_image
from bgdata.geometry import CentreCrop
from bgdata.ingest.folder import path_id
from bgdata.io import decode_image
from bgdata.randomness import seeded_order
from bgdata.shards import Row

COLUMNS = ("background_label", "source")
# These photos have no class of the list: in their set all are of this one.
_CLASSES = plain_class_list("backgrounds", ["background"])


def write_external_sets(
    name: str, job: BackgroundsJob, inputs: Inputs, listing: Listing, *, work: Path, workers: int
) -> dict[str, Any]:
    """Write the sets of an external source, each into `work/<set>`; returns the manifest of the backgrounds alone.

    Files that are no image (`unreadable`), whose shorter side is below the crop's (`too_small`), or that are a copy of
    another (`duplicate`) are left out and counted. Its own list has one class; `background_label` is of the photos'
    list, which the manifest names, and empty where the class is unknown. Then mixed_rand alone holds images. The bytes
    depend on the files, the sets, the settings and the seed, not on the workers; a killed run goes on.

    Raises InputError where fewer than two photos are usable, or a class has no background in a split.
    """
    settings, paths = job.source, list(listing.labels)
    assert isinstance(settings, ExternalSettings), "the other kinds have no folder"
    rows, classes = foreground_rows(inputs.originals, settings.splits)
    by_class = settings.classes is not None
    if by_class:
        _check_classes(name, rows, classes, product(settings.splits, listing.labels.values()))
    crop = CentreCrop(job.render.resize, job.render.size)
    sets = SourceSets(name, work, job.render, job.seed, work / "external/external.npy")
    answers = make_images(_Read(listing.home, crop), paths, path=sets.pixels, side=crop.crop, workers=workers)
    reasons = _reasons(answers)
    _check_usable(name, listing, reasons)
    usable = [place for place, reason in enumerate(reasons) if reason is None]
    splits = _splits([(listing.labels[paths[at]], answers[at]["digest"]) for at in usable], job)
    backgrounds = [
        Background(_row(paths[at], split, listing.labels[paths[at]]), at, listing.labels[paths[at]])
        for at, split in zip(usable, splits, strict=True)
        if split in settings.splits
    ]
    if by_class:
        _check_classes(name, rows, classes, [(each.row.split, each.label) for each in backgrounds])
    found = open_foregrounds(inputs, splits=settings.splits, crop=crop, folder=work / "crops", workers=workers)
    notes = {"seed": job.seed, "settings": job.model_dump(exclude={"seed"})}
    plan = plan_mixed(found, backgrounds, sets, by_class=by_class)
    missing = f"the classes of these backgrounds are unknown (backgrounds.{name}.classes)"
    write_mixed(sets, plan, found, notes=notes, missing=missing, workers=workers)
    rejected = [
        {"id": path, "split": "", "label": "", "reason": reason}
        for path, reason in zip(paths, reasons, strict=True)
        if reason
    ]
    return write_backgrounds(
        sets,
        backgrounds,
        classes=_CLASSES,
        columns=COLUMNS,
        rejected=rejected,
        notes={NOTE: classes.to_record()} | notes,
        workers=workers,
    )


@dataclass(frozen=True)
class _Read:
    """Reads photos and crops them, a chunk at a time."""

    home: Path
    crop: CentreCrop

    def __call__(self, paths: Sequence[str], pixels: UInt8[np.ndarray, "n c c 3"]) -> list[dict[str, Any]]:
        """Write the crops into `pixels`; returns each file's digest, and the reason why it is of no use."""
        answers = []
        for place, path in enumerate(paths):
            digest, reason = None, None
            try:
                data = (self.home / path).read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                image = decode_image(plain_image(data))
            except (InputError, OSError):
                reason = "unreadable"
            else:
                reason = "too_small" if min(image.shape[:2]) < self.crop.crop else None
                if reason is None:
                    pixels[place] = self.crop.image(image)
            answers.append({"digest": digest, "reason": reason})
        return answers


def _reasons(answers: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Those of the files, and `duplicate` for each but the first that holds the same bytes."""
    seen: set[str] = set()
    reasons = []
    for answer in answers:
        reason = answer["reason"] or ("duplicate" if answer["digest"] in seen else None)
        if reason is None:
            seen.add(answer["digest"])
        reasons.append(reason)
    return reasons


def _check_classes(
    name: str, foregrounds: Sequence[Row], classes: ClassList, pools: Iterable[tuple[str, int | None]]
) -> None:
    known = [(split, label) for split, label in pools if label is not None]
    place = f"backgrounds.{name}.classes"
    advice = f"mixed_same and mixed_next need one of each class: add a sub-folder to {place}, or set that to null"
    check_pools(foregrounds, classes, known, least=1, advice=lambda *_: advice)


def _check_usable(name: str, listing: Listing, reasons: Sequence[str | None]) -> None:
    usable = reasons.count(None)
    if usable < 2:
        lost = ", ".join(f"{reason} {count}" for reason, count in sorted(Counter(filter(None, reasons)).items()))
        raise InputError(
            f"backgrounds.{name}.folder: of {len(reasons)} photos in {listing.home} {usable or 'none'} can be used "
            f"({lost}), expected at least two: add photos that are no smaller than render.size, or lower that"
        )


def _splits(photos: Sequence[tuple[int | None, str]], job: BackgroundsJob) -> list[str]:
    """The split of each photo (its label and digest): of each class a seeded share is val, and of two or more each
    split has one.
    """
    assert isinstance(job.source, ExternalSettings)
    splits = ["train"] * len(photos)
    for label in dict.fromkeys(label for label, _ in photos):
        members = [place for place, photo in enumerate(photos) if photo[0] == label]
        order = seeded_order(job.seed, [photos[member][1] for member in members], "backgrounds.val_share")
        share = min(max(round(job.source.val_share * len(members)), 1), len(members) - 1)
        for place in order[:share]:
            splits[members[place]] = "val"
    return splits


def _row(path: str, split: str, label: int | None) -> Row:
    image_id = path_id(PurePosixPath(path))
    extra = {"background_label": "" if label is None else str(label), "source": path}
    return Row(image_id, split, 0, "", _CLASSES.member_name(0, image_id), extra=extra)
