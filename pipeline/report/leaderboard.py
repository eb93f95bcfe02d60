"""The leaderboard: published numbers as cited rows, beside submitted results with checkpoint and command."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bgdata.classes import ClassList, in_words
from bgdata.compose.names import VARIANTS
from bgdata.labels import IN9
from models.evaluation.submissions import Submission, read_submission
from pipeline.report.corruption_board import CorruptionBoard, CorruptionEntry, corruption_board
from pipeline.report.words import SOURCES

# Photos in each variant of the official test release, and so foregrounds and backgrounds of its challenge.
OFFICIAL_PHOTOS = 4050


@dataclass(frozen=True)
class Entry:
    """One row: rates as fractions, by variant where they are known; `table` is official, matrix or other (of
    ImageNet-9; `classes` is the list that the numbers are of).

    `commands` and `checkpoint` say how a submitted row came about; a published one has a citation instead.
    """

    name: str
    trained_on: str
    table: str
    accuracy: Mapping[str, float]
    challenge: float | None
    citation: str
    link: str
    note: str = ""
    checkpoint: str = ""
    commands: tuple[str, ...] = ()
    classes: ClassList = IN9

    @property
    def bg_gap(self) -> float | None:
        """Accuracy on mixed_same less that on mixed_rand, where both are known."""
        same, rand = (self.accuracy.get(variant) for variant in ("mixed_same", "mixed_rand"))
        return None if same is None or rand is None else same - rand


@dataclass(frozen=True)
class Leaderboard:
    """The rows of each table, best challenge accuracy first, then best mixed_rand.

    The first three tables are ImageNet-9's; `lists` holds a table for each other list of classes; corruptions have
    tables of their own.
    """

    official: tuple[Entry, ...]
    matrix: tuple[Entry, ...]
    other: tuple[Entry, ...]
    lists: tuple[tuple[Entry, ...], ...]
    corruptions: CorruptionBoard

    def of(self, classes: ClassList) -> tuple[Entry, ...]:
        """The rows that a page about these classes shows: ImageNet-9's official ones, or those of the list."""
        if classes.same_as(IN9):
            return self.official
        return next((entries for entries in self.lists if entries[0].classes.same_as(classes)), ())

    @property
    def submitted(self) -> tuple[Entry | CorruptionEntry, ...]:
        """The rows that came with a command."""
        entries: list[Entry | CorruptionEntry] = [*self.official, *self.other, *chain.from_iterable(self.lists)]
        entries += chain.from_iterable(self.corruptions.tables)
        return tuple(entry for entry in entries if entry.commands)


def read_leaderboard(folder: Path) -> Leaderboard:
    """The published rows, and one for each JSON file in `folder` (there need be none).

    Raises InputError, naming the file and the key, where one is no submission.
    """
    submissions = [read_submission(path) for path in sorted(folder.glob("*.json"))]
    entries = [*read_published(), *(_submitted(one) for one in submissions if one.in9 or one.challenge)]

    def table(name: str, classes: ClassList = IN9) -> tuple[Entry, ...]:
        found = (entry for entry in entries if entry.table == name and entry.classes.same_as(classes))
        return tuple(sorted(found, key=_rank))

    others = {entry.classes.digest: entry.classes for entry in entries if not entry.classes.same_as(IN9)}
    lists = sorted(others.values(), key=lambda classes: (classes.name, classes.digest))
    return Leaderboard(
        table("official"),
        table("matrix"),
        table("other"),
        tuple(table("other", classes) for classes in lists),
        corruption_board((one, _origin(one.corruptions.model)) for one in submissions if one.corruptions),
    )


def read_published() -> list[Entry]:
    """The published rows, each with its citation."""
    text = resources.files("pipeline.report").joinpath("published.csv").read_text(encoding="utf-8")
    return [
        Entry(
            name=row["name"],
            trained_on=row["trained_on"],
            table=row["table"],
            accuracy={variant: float(row[variant]) for variant in VARIANTS if row[variant]},
            challenge=float(row["challenge"]) if row["challenge"] else None,
            citation=row["citation"],
            link=row["link"],
            note=row["note"],
        )
        for row in csv.DictReader(text.splitlines())
    ]


def render_markdown(board: Leaderboard) -> str:
    """LEADERBOARD.md; the same rows give the same bytes."""
    environment = Environment(
        loader=PackageLoader("pipeline.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": _markdown_cell, "percent": _percent, "tenths": _tenths, "code": _markdown_code}
    return environment.get_template("leaderboard.md.j2").render(board=board, variants=VARIANTS, sources=SOURCES) + "\n"


def _submitted(submission: Submission) -> Entry:
    in9, challenge = submission.in9, submission.challenge
    results = [result for result in (in9, challenge) if result]
    variants = in9.variants if in9 else {}
    counts = {score.count for score in variants.values()}
    counts |= {challenge.count, challenge.backgrounds} if challenge else set()
    classes, is_in9 = submission.classes, submission.classes.same_as(IN9)
    is_official = is_in9 and counts == {OFFICIAL_PHOTOS}
    notes = [] if is_in9 else [f"classes {classes.name} ({len(classes)}, list {classes.digest})"]
    notes += [] if is_official else [f"{max(counts):,} photos"]
    notes += [f"linear probe, trained on {in9.probe.get('trained_on')}"] if in9 and in9.probe else []
    notes += [f"challenge among the {in_words(len(classes))} outputs only"] if challenge and challenge.nine_only else []
    return Entry(
        name=submission.name,
        trained_on=submission.trained_on,
        table="official" if is_official else "other",
        accuracy={variant: variants[variant].accuracy for variant in VARIANTS if variant in variants},
        challenge=challenge.challenge_accuracy if challenge else None,
        citation="submitted",
        link=submission.link,
        note="; ".join(notes),
        checkpoint="; ".join(dict.fromkeys(_origin(result.model) for result in results)),
        commands=tuple(result.command for result in results),
        classes=classes,
    )


def _origin(model: Mapping[str, Any]) -> str:
    if "checkpoint_sha256" in model:
        return f"checkpoint SHA-256 {model['checkpoint_sha256']}"
    if "weights" in model:
        return f"{model.get('arch')} with the published weights {model['weights']}"
    return f"code {model.get('entry')}, without a checkpoint"


def _rank(entry: Entry) -> tuple[bool, float, bool, float, str, str]:
    rates = entry.challenge, entry.accuracy.get("mixed_rand")
    (no_challenge, challenge), (no_rand, rand) = ((rate is None, -(rate or 0.0)) for rate in rates)
    return no_challenge, challenge, no_rand, rand, entry.name, entry.trained_on


def _percent(fraction: float | None) -> str:
    """Two digits, as the finest published numbers have, the second only where it says something."""
    return "" if fraction is None else f"{round(100 * fraction, 2) + 0.0:.2f}".removesuffix("0")


def _tenths(fraction: float | None) -> str:
    return "" if fraction is None else f"{round(100 * fraction, 1) + 0.0:.1f}"


def _markdown_cell(text: str) -> str:
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _markdown_code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
