"""What the results say class by class, at any number of classes: worst first, the most frequent confusions first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bgdata.classes import ClassList
from pipeline.report.numbers import Results
from pipeline.report.words import VARIANT_MEANING

SHOWN = 12  # rows of a table of classes before the fold
WHOLE = 20  # classes whose confusions are shown as a matrix
LISTED = 30  # confusions listed where there are more classes
DENSE = 50  # classes up to which the judges write the whole matrix; beyond, a list of [true, predicted, count]


@dataclass(frozen=True)
class ClassTable:
    """Rates by class and recipe; `shown` and `folded` are labels, worst first; `right` names what was counted."""

    title: str
    note: str
    key: str
    right: str
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    shown: Sequence[int]
    folded: Sequence[int]


@dataclass(frozen=True)
class Confusion:
    """What one recipe takes for what on one variant.

    Either `matrix` (rows true, columns predicted; the last column may be none of the classes), or `listed`: the most
    frequent confusions as (true, predicted, photos, photos of the true class), of `kinds` in all.
    """

    recipe: str
    variant: str
    columns: Sequence[str]
    matrix: Sequence[Sequence[int]] | None
    listed: Sequence[tuple[str, str, int, int]]
    kinds: int


def class_tables(results: Results) -> tuple[ClassTable, ...]:
    """Accuracy on original and mixed_rand, and challenge accuracy, of each class."""

    def on(variant: str) -> ClassTable:
        scores = {recipe: results.in9[recipe]["variants"][variant]["per_class"] for recipe in results.recipes}
        return _table(variant, VARIANT_MEANING[variant], "accuracy", "correct", scores, results.classes)

    challenge = {recipe: results.challenge[recipe]["per_class"] for recipe in results.recipes}
    note = "foregrounds that no background fools"
    return (
        on("original"),
        on("mixed_rand"),
        _table("challenge", note, "challenge_accuracy", "vulnerable", challenge, results.classes),
    )


def confusions(results: Results) -> tuple[Confusion, ...]:
    """Those of the compared recipes on original and mixed_rand, where the judge wrote them."""
    return tuple(
        _confusion(recipe, variant, score["confusion"], results.classes)
        for variant in ("original", "mixed_rand")
        for recipe in results.compared
        if "confusion" in (score := results.in9[recipe]["variants"][variant])
    )


def confusion_counts(confusion: Sequence[Sequence[int]], classes: ClassList) -> Iterator[tuple[int, int, int]]:
    """(true, predicted, count) of a judge's confusion, whole or as a list: which of the two the classes decide."""
    if len(classes) > DENSE:
        yield from ((true, predicted, count) for true, predicted, count in confusion)
        return
    for true, row in enumerate(confusion):
        yield from ((true, predicted, count) for predicted, count in enumerate(row) if count)


def _table(
    title: str,
    note: str,
    key: str,
    right: str,
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]],
    classes: ClassList,
) -> ClassTable:
    def mean(label: int) -> tuple[bool, float]:
        folder = classes.folders[label]
        found = [value for by in scores.values() if (value := by.get(folder, {}).get(key)) is not None]
        return not found, fmean(found) if found else 0.0  # a class that was not judged comes last

    order = sorted(range(len(classes)), key=mean)
    return ClassTable(title, note, key, right, scores, order[:SHOWN], order[SHOWN:])


def _confusion(recipe: str, variant: str, counted: Sequence[Sequence[int]], classes: ClassList) -> Confusion:
    columns = (*classes.names, classes.outside)
    if len(classes) <= WHOLE:
        width = max(map(len, counted), default=len(classes))
        return Confusion(recipe, variant, columns[:width], counted, (), 0)
    cells = list(confusion_counts(counted, classes))
    photos = [0] * len(classes)
    for true, _, count in cells:
        photos[true] += count
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell[:2]))
    listed = [
        (classes.names[true], columns[min(predicted, len(classes))], count, photos[true])
        for true, predicted, count in wrong[:LISTED]
    ]
    return Confusion(recipe, variant, columns, None, listed, len(wrong))
