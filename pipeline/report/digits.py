"""The biased digits in the report: what the stage wrote, and what it says of the published finding."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bgdata.digits.bias import BIASES, TESTS
from bgdata.errors import InputError
from pipeline.report.pictures import data_uri

PLAIN, PENALISED = "plain", "absolute"
_STAGE = "`dvc repro --force digits`"


@dataclass(frozen=True)
class DigitResults:
    """scores/digits.json, and its sheet as a data URI."""

    content: Mapping[str, Any]
    sheet: str

    def accuracy(self, bias: str, method: str, test: str) -> float:
        """The mean over the seeds."""
        return mean(run["tests"][test]["accuracy"] for run in self._runs(bias, method))

    def validation_accuracy(self, bias: str, method: str) -> float:
        """On biased digits that were not trained on; the mean over the seeds."""
        return mean(run["validation_accuracy"] for run in self._runs(bias, method))

    def bias_share(self, bias: str, method: str) -> float | None:
        """The share of the attribution that lies where the bias may stand; the mean over the seeds."""
        shares = [run["bias_share"] for run in self._runs(bias, method) if run["bias_share"] is not None]
        return mean(shares) if shares else None

    def words(self, bias: str, method: str, test: str) -> str:
        """The counts and intervals behind an accuracy, seed by seed."""
        return "; ".join(
            f"seed {run['seed']}: {score['correct']} of {score['count']}, 95 % interval "
            f"{100 * score['interval'][0]:.1f} to {100 * score['interval'][1]:.1f}"
            for run in self._runs(bias, method)
            for score in (run["tests"][test],)
        )

    @property
    def claims(self) -> dict[str, bool]:
        """The parts of the published finding, and whether they hold here: where the bias lies, with intervals that are
        apart for every seed."""
        return {
            "the penalty rescues one_pixel": self._is_better(("one_pixel", PENALISED), ("one_pixel", PLAIN)),
            "a coloured background resists it": self._is_better(("one_pixel", PENALISED), ("coloured", PENALISED)),
            "a gap around the digit helps": self._is_better(("coloured_gap", PENALISED), ("coloured", PENALISED)),
        }

    def _is_better(self, better: tuple[str, str], worse: tuple[str, str]) -> bool:
        lows = [run["tests"]["shifted"]["interval"][0] for run in self._runs(*better)]
        highs = [run["tests"]["shifted"]["interval"][1] for run in self._runs(*worse)]
        return min(lows) > max(highs)

    def _runs(self, bias: str, method: str) -> list[dict[str, Any]]:
        return self.content["sets"][bias]["methods"][method]["runs"]


def read_digits(scores: Path) -> DigitResults:
    """What the digits stage wrote.

    Raises InputError where a file is missing, or is not what the stage writes.
    """
    path = scores / "digits.json"
    try:
        content = json.loads(path.read_text())
        sheet = data_uri("jpeg", path.with_suffix(".jpg").read_bytes())
        whole = all(
            run["tests"].keys() == set(TESTS)
            for bias in BIASES
            for method in (PLAIN, PENALISED)
            for run in content["sets"][bias]["methods"][method]["runs"]
        )
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: run `dvc repro digits`, or `dvc repro` for all") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no result of the digits ({error!r}): run {_STAGE}") from None
    if not whole:
        raise InputError(f"{path} lacks one of the tests {', '.join(TESTS)}: run {_STAGE}")
    return DigitResults(content, sheet)
