"""The first pass of ingest: every candidate's files read once, strictly, in parallel; a killed run goes on."""

import errno
import hashlib
import json
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.geometry import Box
from bgdata.ingest import filters
from bgdata.ingest.candidates import Candidate
from bgdata.ingest.filters import Finding, Found
from bgdata.ingest.ilsvrc import parse_annotation
from bgdata.ingest.settings import FilterSettings
from bgdata.io import UnusablePhoto, inspect_photo
from bgdata.parallel import run_tasks
from bgdata.shards import write_text_whole

_CHUNK = 256
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
_UNREADABLE_NAMED = 5


def inspect_candidates(
    candidates: Sequence[Candidate], work: Path, *, settings: FilterSettings, workers: int
) -> list[Found]:
    """Read every candidate that has a photo and, where one is required, an annotation, and filter it.

    Chunks done before are not read again, unless one of their files has changed since (by size and time).
    """
    work.mkdir(parents=True, exist_ok=True)
    missing = {candidate.id: filters.missing_file(candidate, settings) for candidate in candidates}
    complete = [candidate for candidate in candidates if missing[candidate.id] is None]
    chunks = [complete[start : start + _CHUNK] for start in range(0, len(complete), _CHUNK)]
    results = [work / f"{_fingerprint(chunk, settings)}.json" for chunk in chunks]
    tasks = [(chunk, settings, result) for chunk, result in zip(chunks, results, strict=True) if not result.exists()]
    total = sum(len(chunk) for chunk, *_ in tasks)
    run_tasks(_inspect_chunk, tasks, workers=workers, total=total, label="inspect", unit="photo")
    findings = {
        candidate.id: _from_cells(cells)
        for chunk, result in zip(chunks, results, strict=True)
        for candidate, cells in zip(chunk, json.loads(result.read_text()), strict=True)
    }
    return [(candidate, findings.get(candidate.id) or Finding(missing[candidate.id])) for candidate in candidates]


def _fingerprint(chunk: Sequence[Candidate], settings: FilterSettings) -> str:
    # With sizes and times: a repaired photo must be read again.
    states: list[Any] = [[path, *file_state(path)] for one in chunk for path in (one.photo, one.annotation)]
    states += [one.boxes for one in chunk if one.boxes is not None]
    return hashlib.sha256(json.dumps([settings.model_dump(), states]).encode()).hexdigest()[:24]


def file_state(path: str | None) -> tuple[int, int]:
    """A file's size and time of change (ns); zeros where there is none."""
    if path is None:
        return 0, 0
    try:
        status = Path(path).stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _inspect_chunk(chunk: Sequence[Candidate], settings: FilterSettings, result: Path) -> int:
    write_text_whole(result, json.dumps([_to_cells(inspect_candidate(one, settings)) for one in chunk]))
    return len(chunk)


def inspect_candidate(candidate: Candidate, settings: FilterSettings) -> Finding:
    """Filter one photo by itself: what costs least first, so that many-boxed photos are not decoded."""
    if candidate.annotation is None and candidate.boxes is None:
        return _inspect_photo(candidate)
    try:
        annotated, boxes = _annotation(candidate)
    except (ValueError, OSError):
        return Finding("unreadable_annotation")
    if reason := filters.wrong_count(boxes):
        return Finding(reason)
    found = _inspect_photo(candidate)
    if found.reason:
        return found
    box = boxes[0].clipped(found.size)
    reason = (
        filters.wrong_size(annotated or found.size, found.size)
        or filters.box_too_large(box, found.size, settings)
        or filters.box_outside_crop(boxes[0], found.size, settings)
    )
    return replace(found, reason=reason, box=box)


def _annotation(candidate: Candidate) -> tuple[tuple[int, int] | None, Sequence[Box]]:
    """The photo's size by its annotation (a table of boxes says none), and its boxes."""
    if candidate.annotation is None:
        return None, candidate.boxes or ()
    return parse_annotation(Path(candidate.annotation).read_bytes())


def _inspect_photo(candidate: Candidate) -> Finding:
    """What the photo's file tells, whatever its annotation says."""
    assert candidate.photo, "candidates without photos are filtered before"
    digest = None
    try:
        data = Path(candidate.photo).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        _, size, encoded_anew = inspect_photo(data)
    except UnusablePhoto as unusable:
        return Finding(unusable.args[0], digest)
    except OSError as error:
        # A link to nothing, a file that went since it was listed, a folder of a photo's name: there is no photo.
        return Finding("no_photo" if error.errno in _NOT_THERE else "unreadable")
    return Finding(digest=digest, size=size, encoded_anew=encoded_anew)


def _to_cells(finding: Finding) -> list[Any]:
    return [finding.reason, finding.digest, finding.size, finding.box, finding.encoded_anew]


def _from_cells(cells: list[Any]) -> Finding:
    reason, digest, size, box, encoded_anew = cells
    return Finding(reason, digest, tuple(size), box and Box(*box), encoded_anew)


def digest_excluded(found: Sequence[Found], excluded: Set[str]) -> list[Found]:
    """Add the digests of excluded photos that were not read (their annotations are bad): their copies leak as well."""
    return [
        (candidate, replace(finding, digest=_digest(candidate.photo)))
        if finding.digest is None and candidate.photo and filters.is_excluded(candidate, excluded)
        else (candidate, finding)
        for candidate, finding in found
    ]


def _digest(photo: str) -> str | None:
    try:
        return hashlib.sha256(Path(photo).read_bytes()).hexdigest()
    except OSError:
        return None


def check_unreadable(found: Sequence[Found], limit: float) -> None:
    """Raise InputError, naming some, where more than the share `limit` of the photos that were read is unreadable."""
    unreadable = [candidate.photo for candidate, finding in found if finding.reason == "unreadable"]
    read = sum(finding.digest is not None or finding.reason == "unreadable" for _, finding in found)
    if unreadable and len(unreadable) > limit * read:
        names = ", ".join(map(str, unreadable[:_UNREADABLE_NAMED]))
        more = ", ..." if len(unreadable) > _UNREADABLE_NAMED else ""
        raise InputError(
            f"{len(unreadable)} of {read} photos are unreadable, more than ingest.max_unreadable ({limit:g}) allows: "
            f"{names}{more}; copy them again, or raise the limit"
        )
