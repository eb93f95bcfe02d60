"""The leaderboard's rows of corruptions: published ones of ImageNet-C, and submitted results, never in one table."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from bgdata.classes import ClassList
from bgdata.corrupt.corruptions import SEVERITIES, STANDARD
from models.evaluation.corruption_shapes import what_was_run
from models.evaluation.submissions import Submission


@dataclass(frozen=True)
class CorruptionEntry:
    """One row: fractions, None where unknown; `run` says what was run of the fifteen corruptions at five severities.

    `commands` and `checkpoint` say how a submitted row came about; a published one has a citation instead.
    """

    name: str
    trained_on: str
    source: str
    images: int
    run: str
    complete: bool
    clean: float | None
    mpc: float | None
    rpc: float | None
    mean_error: float | None
    mce: float | None
    normaliser: str
    citation: str
    link: str
    note: str = ""
    checkpoint: str = ""
    commands: tuple[str, ...] = ()
    classes: ClassList | None = None


@dataclass(frozen=True)
class CorruptionBoard:
    """The published rows of ImageNet-C, and a table for each list of classes and source of the submitted ones.

    Complete results stand before partial ones, the largest mPC first.
    """

    published: tuple[CorruptionEntry, ...]
    tables: tuple[tuple[CorruptionEntry, ...], ...] = ()

    def of(self, classes: ClassList) -> tuple[tuple[CorruptionEntry, ...], ...]:
        """The tables of submitted rows that a page about these classes shows, one a source."""
        return tuple(table for table in self.tables if table[0].classes and table[0].classes.same_as(classes))


def corruption_board(submissions: Iterable[tuple[Submission, str]]) -> CorruptionBoard:
    """The rows of submissions that hold corruptions, each with its model in words, beside the published ones."""
    tables: dict[tuple[str, str], list[CorruptionEntry]] = {}
    for submission, model in submissions:
        if submission.corruptions is not None:
            entry = _submitted(submission, model)
            tables.setdefault((submission.classes.digest, entry.source), []).append(entry)
    return CorruptionBoard(
        tuple(sorted(read_published_corruptions(), key=_rank)),
        tuple(tuple(sorted(entries, key=_rank)) for _, entries in sorted(tables.items())),
    )


def read_published_corruptions() -> list[CorruptionEntry]:
    """The published rows, each with its citation."""
    text = resources.files("pipeline.report").joinpath("published_corruptions.csv").read_text(encoding="utf-8")
    return [_published(row) for row in csv.DictReader(text.splitlines())]


def _published(row: Mapping[str, str]) -> CorruptionEntry:
    corruptions, cells = int(row["corruptions"]), int(row["cells"])
    return CorruptionEntry(
        name=row["name"],
        trained_on=row["trained_on"],
        source=row["source"],
        images=int(row["images"]),
        run=what_was_run(corruptions, cells),
        complete=cells == len(STANDARD) * len(SEVERITIES),
        clean=None,
        mpc=float(row["mpc"]),
        rpc=None,
        mean_error=float(row["mean_error"]),
        mce=float(row["mce"]),
        normaliser=row["normaliser"],
        citation=row["citation"],
        link=row["link"],
        note=row["note"],
    )


def _submitted(submission: Submission, model: str) -> CorruptionEntry:
    result = submission.corruptions
    assert result is not None  # corruption_board asks
    summary = result.whole.summary
    return CorruptionEntry(
        name=submission.name,
        trained_on=submission.trained_on,
        source=result.source,
        images=result.images,
        run=summary.run,
        complete=summary.complete,
        clean=None if result.clean is None else result.clean.accuracy,
        mpc=summary.mpc,
        rpc=summary.rpc,
        mean_error=summary.mean_error,
        mce=summary.mce,
        normaliser=summary.normaliser or "none",
        citation="submitted",
        link=submission.link,
        checkpoint=model,
        commands=(result.command,),
        classes=submission.classes,
    )


def _rank(entry: CorruptionEntry) -> tuple[bool, float, str, str]:
    """By mPC: mCE would rank by whose errors it is divided by as well."""
    return not entry.complete, -(entry.mpc or 0.0), entry.name, entry.trained_on
