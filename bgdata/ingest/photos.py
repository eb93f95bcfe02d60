"""The second pass of ingest: choose among the photos that were let in, and write `photos` and `given_masks`."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.ingest import filters
from bgdata.ingest.candidates import Candidate, PhotoTree, path_within
from bgdata.ingest.class_counts import check_class_counts, short_classes
from bgdata.ingest.filters import Finding, Found
from bgdata.ingest.inspection import check_unreadable, digest_excluded, inspect_candidates
from bgdata.ingest.near_duplicates import keep_near_duplicates_together
from bgdata.ingest.settings import IngestSettings
from bgdata.io import encode_mask, inspect_photo
from bgdata.masks.given import UnusableMask, is_plain, read_given_mask
from bgdata.parallel import run_tasks
from bgdata.shards import (
    SPLITS,
    Row,
    finish_set,
    shard_is_written,
    shard_name,
    write_rejected,
    write_shard,
    write_text_whole,
)

PHOTOS = "photos"
GIVEN_MASKS = "given_masks"
_CHOSEN = "chosen"
COLUMNS = ("height", "width", "x0", "y0", "x1", "y1", "source")
_NO_BOX = ("",) * 4


def ingest_photos(
    tree: PhotoTree,
    candidates: Sequence[Candidate],
    work: Path,
    *,
    settings: IngestSettings,
    excluded: Set[str] = frozenset(),
    seed: int,
    workers: int,
) -> dict[str, Any]:
    """Write the sets `photos` and `given_masks` into `work`; returns the manifest of `photos`.

    `excluded` holds the ids of `settings.exclude_ids`. The bytes depend on the tree, settings and seed, not on the
    workers; a killed run goes on where it was.

    Raises InputError where too many photos are unreadable, a class has fewer than two photos in a split (a split of
    which nothing is listed stays empty), or `excluded` names no photo of the tree.
    """
    unmatched = filters.count_unmatched(candidates, excluded)
    if excluded and unmatched == len(excluded):
        raise InputError(
            f"the exclude list {settings.exclude_ids} (ingest.exclude_ids) names no photo of {tree.home}: expected ids "
            f"such as n02085936_12, or official file names, one a line, got {unmatched} others, as {min(excluded)}; "
            "correct the file, or set ingest.exclude_ids to null"
        )
    candidates, near_duplicates = keep_near_duplicates_together(tree, candidates, work, workers=workers)
    found = inspect_candidates(candidates, work / "inspected", settings=settings.filters, workers=workers)
    check_unreadable(found, settings.max_unreadable)
    found = digest_excluded(found, excluded)
    reasons = filters.exclude(found, excluded)
    reasons = filters.drop_duplicates(found, reasons)
    reasons = filters.balance(found, reasons, per_class=settings.per_class, seed=seed)
    chosen = [one for one, reason in zip(found, reasons, strict=True) if reason is None]
    counts = Counter((candidate.split, candidate.label) for candidate, _ in chosen)
    check_class_counts(found, reasons, counts, tree)
    drop_shards_of_another_choice(chosen, work, (PHOTOS, GIVEN_MASKS))
    _write_shards(chosen, tree, work, photos_per_shard=settings.photos_per_shard, workers=workers)
    rejected = [
        {"id": candidate.id, "split": candidate.split, "label": candidate.label, "reason": reason}
        for (candidate, _), reason in zip(found, reasons, strict=True)
        if reason
    ]
    notes = {
        "candidates": len(candidates),
        "rejected": write_rejected(work / PHOTOS, rejected),
        "short_classes": short_classes(counts, settings.per_class, tree.classes),
        "exclude_list": len(excluded),
        "exclude_unmatched": unmatched,
        "encoded_anew": sum(finding.encoded_anew for _, finding in chosen),
        "seed": seed,
        "settings": settings.model_dump(),
        **near_duplicates,
    }
    finish_set(work / GIVEN_MASKS, classes=tree.classes, notes={"photos": len(chosen)})
    return finish_set(work / PHOTOS, classes=tree.classes, columns=COLUMNS, notes=notes)


def drop_shards_of_another_choice(chosen: Sequence[Found], work: Path, sets: Sequence[str]) -> None:
    """Remove sets that an earlier run wrote here of other photos: files of the tree may have been repaired since."""
    # With the boxes and the splits: a repaired annotation, or copy of a photo, changes a row, though not the photo.
    lines = [[candidate.id, candidate.split, finding.digest, finding.box] for candidate, finding in chosen]
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()
    record = work / _CHOSEN
    if record.is_file() and record.read_text() == digest:
        return
    # The record goes first and comes last, so that a kill in between leaves no shard that seems to be of this choice.
    record.unlink(missing_ok=True)
    for name in sets:
        if (work / name).exists():
            shutil.rmtree(work / name)
    write_text_whole(record, digest)


def _write_shards(chosen: Sequence[Found], tree: PhotoTree, work: Path, *, photos_per_shard: int, workers: int) -> None:
    for name in (PHOTOS, GIVEN_MASKS):
        (work / name).mkdir(parents=True, exist_ok=True)
    tasks = []
    for split in SPLITS:
        of_split = [one for one in chosen if one[0].split == split]
        for number, start in enumerate(range(0, len(of_split), photos_per_shard)):
            shard = shard_name(split, number)
            if not shard_is_written(work / PHOTOS, shard):
                tasks.append((of_split[start : start + photos_per_shard], tree, work, shard))
    total = sum(len(photos) for photos, *_ in tasks)
    run_tasks(_write_shard, tasks, workers=workers, total=total, label="ingest", unit="photo")


def _write_shard(photos: Sequence[Found], tree: PhotoTree, work: Path, shard: str) -> int:
    # The masks first: the photos' part says that both are written.
    masks = list(_mask_members(photos, tree))
    if masks:
        write_shard(work / GIVEN_MASKS, shard, masks)
    write_shard(work / PHOTOS, shard, _photo_members(photos, tree))
    return len(photos)


def _mask_members(photos: Sequence[Found], tree: PhotoTree) -> Iterator[tuple[Row, bytes]]:
    for candidate, finding in photos:
        data = read_mask(Path(candidate.mask), finding) if candidate.mask else None
        if data is not None:
            name = tree.classes.member_name(candidate.label, candidate.id, "png")
            yield Row(candidate.id, candidate.split, candidate.label, candidate.wnid, name), data


def read_mask(path: Path, finding: Finding) -> bytes | None:
    """The bytes of the mask that came with a photo, as a plain PNG; None where its file is gone or cannot be read.

    What is no mask of this photo stays as it came: whoever reads the set counts it with its reason.
    """
    try:
        data = path.read_bytes()
        mask = read_given_mask(data, finding.size, finding.box)
    except OSError:
        return None
    except UnusableMask:
        return data
    return data if is_plain(data, mask) else encode_mask(mask)


def _photo_members(photos: Sequence[Found], tree: PhotoTree) -> Iterator[tuple[Row, bytes]]:
    for candidate, finding in photos:
        assert candidate.photo, "a chosen photo has one"
        data = read_photo(candidate, finding)
        values = (*finding.size, *(finding.box or _NO_BOX), path_within(tree, candidate.photo))
        extra = {column: str(value) for column, value in zip(COLUMNS, values, strict=True)}
        name = tree.classes.member_name(candidate.label, candidate.id)
        yield Row(candidate.id, candidate.split, candidate.label, candidate.wnid, name, extra=extra), data


def read_photo(candidate: Candidate, finding: Finding) -> bytes:
    """The bytes of a photo that was let in, as a plain JPEG.

    Raises InputError where it is not what it was when it was inspected.
    """
    assert candidate.photo, "a photo that was let in has one"
    try:
        data = Path(candidate.photo).read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != finding.digest:
        raise InputError(
            f"{candidate.photo} is not what it was when it was inspected: run the stage again (with DVC: `dvc repro`)"
        )
    return inspect_photo(data)[0] if finding.encoded_anew else data
