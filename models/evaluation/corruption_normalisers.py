"""Whose errors a model's errors under corruption are divided by: AlexNet's published ones, or another result's."""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from statistics import fmean
from typing import Any, Protocol, runtime_checkable

from bgdata.corrupt.names import SEVERITIES, STANDARD_NAMES
from bgdata.errors import InputError

# Which severities of which corruptions were run.
Run = Mapping[str, Sequence[int]]


@runtime_checkable
class Normaliser(Protocol):
    """Errors to divide by."""

    def errors(self, run: Run, *, region: str) -> tuple[dict[str, float] | None, str]:
        """The mean error of each corruption over the severities that were run, and whose they are in words.

        None where one is unknown or 0, and then in words why.

        Raises InputError where it should know and does not.
        """
        ...


class PublishedAlexNet:
    """AlexNet's errors on ImageNet-C, of 1,000 classes: what papers' mCE is normalised by.

    A corruption at all five severities has the published mean; at fewer, the mean of these severities' own errors, so
    that mild severities are not measured against the mean of harsh ones. JPEG's errors are published as a mean alone:
    where not all of its severities were run there is no mCE, rather than one over other corruptions than it says.

    Source: Hendrycks and Dietterich 2019; means as in google-research/augmix (`imagenet.py`), severities as in
    hendrycks/robustness#10. The means of the latter are the former.
    """

    def errors(self, run: Run, *, region: str) -> tuple[dict[str, float] | None, str]:
        """See `Normaliser`."""
        if region != "whole":
            return None, "none: AlexNet's published errors are of corruptions on whole photos; give another result"
        partial = {name: severities for name, severities in run.items() if set(severities) != set(SEVERITIES)}
        rows = _alexnet_errors()
        unknown = [name for name in partial if not rows[name][1]]
        if unknown:
            return None, (
                f"none: AlexNet's errors under {', '.join(unknown)} are published as a mean of 5 severities alone; "
                "run all 5, or give another result"
            )
        errors = {
            name: fmean(rows[name][1][severity] for severity in severities) if name in partial else rows[name][0]
            for name, severities in run.items()
        }
        return errors, _alexnet_words(run, partial)


ALEXNET = PublishedAlexNet()


class OtherResult:
    """The errors of another result of this judge, cell by cell."""

    def __init__(self, record: Any, *, where: str) -> None:
        self._where = where
        self._regions = _read_regions(record, where)

    def errors(self, run: Run, *, region: str) -> tuple[dict[str, float] | None, str]:
        """See `Normaliser`."""
        cells = self._regions.get(region, {})
        lacking = [
            f"{name} {severity}"
            for name, severities in run.items()
            for severity in severities
            if severity not in cells.get(name, {})
        ]
        if lacking:
            more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise InputError(
                f"{self._where} has no result of {lacking[0]}{more} ({region}): judge the normaliser on the same "
                "corruptions, severities and regions first"
            )
        errors = {name: 1 - fmean(cells[name][severity] for severity in run[name]) for name in run}
        faultless = [name for name, error in errors.items() if error == 0]
        if faultless:
            return None, f"none: {self._where} makes no error under {', '.join(faultless)}"
        return errors, f"{self._where}, at the severities that were run"


def _alexnet_words(run: Run, partial: Run) -> str:
    alexnet = "AlexNet (ImageNet, 1,000 classes), published"
    if not partial:
        return f"{alexnet} means over 5 severities"
    if len(partial) < len(run):
        return f"{alexnet} means over 5 severities; of {', '.join(partial)} at the severities that were run"
    return f"{alexnet} errors at the severities that were run"


@cache
def _alexnet_errors() -> dict[str, tuple[float, dict[int, float]]]:
    """By corruption: the mean over five severities, and that of each severity where it is known."""
    text = files("models.evaluation").joinpath("alexnet_errors.csv").read_text()
    return {
        row["corruption"]: (
            float(row["mean"]),
            {severity: float(row[str(severity)]) for severity in SEVERITIES if row[str(severity)]},
        )
        for row in csv.DictReader(text.splitlines())
    }


def _read_regions(record: Any, where: str) -> dict[str, dict[str, dict[int, float]]]:
    """Accuracies of the fifteen by region, corruption and severity."""
    try:
        return {
            region: {
                name: {int(severity): float(cell["accuracy"]) for severity, cell in row.items()}
                for name, row in found["corruptions"].items()
                if name in STANDARD_NAMES
            }
            for region, found in record["regions"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f"{where} is no result of pipeline.corruptions: give what its --out wrote, or scores/corruptions/*.json"
        ) from None
