"""Why a photo is left out: the paper's filters, and those that keep a data set honest. A reason is a manifest's word.

Source: Xiao et al., "Noise or Signal" (ICLR 2021), and the authors' generator: photo and annotation exist, their sizes
agree, exactly one box, which covers at most 0.9 of the centre crop and lies at least half inside it. Added here:
unreadable and turned photos, an exclude list, duplicates, and the balance of the classes.
"""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from bgdata.errors import InputError
from bgdata.geometry import Box, CentreCrop
from bgdata.ingest.candidates import Candidate
from bgdata.ingest.settings import FilterSettings, PerClass
from bgdata.randomness import seeded_order
from bgdata.text import read_lines

# The geometry of ImageNet-9. It decides what is let in, whatever size is rendered later.
_CROP = CentreCrop()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in a candidate's files: a reason to leave it out, or all that its row needs.

    `digest` is the SHA-256 of the photo as it came, None where it was not read; `box` is None where no annotation came
    with it.
    """

    reason: str | None = None
    digest: str | None = None
    size: tuple[int, int] = (0, 0)
    box: Box | None = None
    encoded_anew: bool = False


def missing_file(candidate: Candidate, settings: FilterSettings) -> str | None:
    """`no_photo`, or `no_annotation` where one is required."""
    if candidate.photo is None:
        return "no_photo"
    lacks_box = candidate.annotation is None and candidate.boxes is None
    return "no_annotation" if settings.require_box and lacks_box else None


def wrong_count(boxes: Sequence[Box]) -> str | None:
    """`not_one_box`: none would be unlabelled, two would leave an object in the background."""
    return None if len(boxes) == 1 else "not_one_box"


def wrong_size(annotated: tuple[int, int], size: tuple[int, int]) -> str | None:
    """`size_mismatch`: the box was drawn on another version of the photo."""
    return None if annotated == size else "size_mismatch"


def box_too_large(box: Box, size: tuple[int, int], settings: FilterSettings) -> str | None:
    """`box_too_large`: the box covers more of the centre crop than leaves a background."""
    covered = _CROP.box(box, size).area / _CROP.crop**2
    return "box_too_large" if covered > settings.max_box_share else None


def box_outside_crop(box: Box, size: tuple[int, int], settings: FilterSettings) -> str | None:
    """`box_outside_crop`: the centre crop cuts off too much of the box."""
    kept = _CROP.kept_share(box, size)
    return "box_outside_crop" if kept == 0 or kept < settings.min_box_kept else None


def read_excluded(path: Path) -> set[str]:
    """The ids of an exclude file: one a line, bare or as a file name of the official release; `#` begins a comment.

    A mixed image (`fg_<id>_bg_<id>`) excludes its foreground and its background.

    Raises InputError where there is no such file, or it is no text.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: ingest.exclude_ids must name a file with one photo id a line, or be null")
    ids: set[str] = set()
    for line in read_lines(path):
        name = PureWindowsPath(line.partition("#")[0].strip()).name  # parts at slashes of either kind
        stem = name.rpartition(".")[0] or name
        mixed = re.fullmatch(r"fg_(.+)_bg_(.+)", stem)
        ids.update(mixed.groups() if mixed else [stem] if stem else [])
    return ids


def is_excluded(candidate: Candidate, excluded: Set[str]) -> bool:
    """Whether the list names it, by our id (also the official release's) or by its file's stem."""
    return candidate.id in excluded or candidate.stem in excluded


def count_unmatched(candidates: Iterable[Candidate], excluded: Set[str]) -> int:
    """How many ids of the exclude list name no candidate."""
    unmatched = set(excluded)
    for candidate in candidates:
        unmatched -= {candidate.id, candidate.stem}
    return len(unmatched)


Found = tuple[Candidate, Finding]


def exclude(found: Iterable[Found], excluded: Set[str]) -> list[str | None]:
    """The reasons after the exclude list, in order; `excluded` wins over any other, so that its copies go as well."""
    return ["excluded" if is_excluded(candidate, excluded) else finding.reason for candidate, finding in found]


def drop_duplicates(found: Sequence[Found], reasons: Sequence[str | None]) -> list[str | None]:
    """The reasons after leaving out photos whose bytes are there already (`duplicate`).

    Of equal photos one stays: an excluded one first (its copies would leak it), then one of val (nothing leaks between
    the splits), then the smallest id.
    """
    rank = {"excluded": 0, "val": 1, "train": 2}
    winners: dict[str, tuple[int, str]] = {}
    claims: list[tuple[str, tuple[int, str]] | None] = []
    for (candidate, finding), reason in zip(found, reasons, strict=True):
        claim = None
        if finding.digest is not None and reason in (None, "excluded"):
            claim = finding.digest, (rank[reason or candidate.split], candidate.id)
            winners[claim[0]] = min(claim[1], winners.get(claim[0], claim[1]))
        claims.append(claim)
    return [
        "duplicate" if reason is None and claim is not None and winners[claim[0]] != claim[1] else reason
        for reason, claim in zip(reasons, claims, strict=True)
    ]


def balance(
    found: Sequence[Found], reasons: Sequence[str | None], *, per_class: PerClass, seed: int
) -> list[str | None]:
    """The reasons after leaving out what is beyond `per_class` (`class_is_full`).

    Which photos stay is decided by a draw from (seed, id) for each: more photos or another limit change few choices.
    """
    balanced = list(reasons)
    places: dict[tuple[str, int], list[int]] = {}
    for place, ((candidate, _), reason) in enumerate(zip(found, reasons, strict=True)):
        if reason is None:
            places.setdefault((candidate.split, candidate.label), []).append(place)
    for (split, _), of_class in places.items():
        limit = {"train": per_class.train, "val": per_class.val}[split]
        if limit is not None and len(of_class) > limit:
            order = seeded_order(seed, [found[place][0].id for place in of_class], "ingest.per_class")
            for position in order[limit:]:
                balanced[of_class[position]] = "class_is_full"
    return balanced
