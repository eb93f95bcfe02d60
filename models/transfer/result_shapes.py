"""The shape of what a transferred network's judge writes: what the report reads of it is checked, the rest ignored."""

from typing import Annotated, Any

from pydantic import Field

from models.evaluation.corruption_shapes import CorruptionName, Count, Name, Rate, Ratio, Result, Severity

Difference = Annotated[float, Field(ge=-1, le=1)]


class Estimate(Result):
    """A rate, the mean over the seeds, and its 95 % interval over images; both None where there is no truth."""

    value: Rate | None
    interval: tuple[Rate, Rate] | None


class RatioEstimate(Result):
    """A ratio of rates, with its interval; None where the clean rate is 0."""

    value: Ratio | None
    interval: tuple[Ratio, Ratio] | None


class DifferenceEstimate(Result):
    """A difference of rates, with its interval."""

    value: Difference | None
    interval: tuple[Difference, Difference] | None


# By metric (`box_ap`, `miou` ...).
Rates = dict[Name, Estimate]


class Transferred(Result):
    """What the conditions come to in one metric.

    `mpc`, `rpc`: of the corruptions that were run, as for classifiers (`corruption_numbers`). `swapped`: on other
    images' backgrounds; `gap`: clean less that; `kept`: that over clean. None where no background was swapped.
    """

    mpc: Estimate
    rpc: RatioEstimate
    swapped: Estimate | None
    gap: DifferenceEstimate | None
    kept: RatioEstimate | None
    corruptions: int = Field(ge=0)
    cells: int = Field(ge=0)
    complete: bool


class SeedNumbers(Result):
    """One seed's numbers, by metric: `clean`, `mpc`, `rpc`, `swapped`, `gap`, `kept`, where they are there."""

    seed: int
    checkpoint_sha256: str
    values: dict[Name, dict[Name, float | None]]


class TransferScores(Result):
    """scores/transfer/<task>-<backbone>-<mode>/scores.json. Numbers are means over the seeds; intervals are bootstrap
    ones over images, drawn alike for all seeds and conditions.

    `metrics`: the first is the task's main one. `record`: what the backbone is (`models.transfer.loading`).
    `constant`: what the best answer that looks at nothing gets, by metric; None where there is none (detection).
    `background`: how other images' objects were removed; None where no background was swapped.
    """

    task: Name
    backbone: Name
    mode: Name
    set: Name
    split: Name
    images: Count
    metrics: tuple[Name, ...] = Field(min_length=1)
    record: dict[str, Any]
    constant: dict[Name, Rate] | None
    background: Name | None
    clean: Rates
    swapped: Rates | None
    corruptions: dict[CorruptionName, dict[Severity, Rates]]
    summary: dict[Name, Transferred]
    seeds: tuple[SeedNumbers, ...] = Field(min_length=1)

    @property
    def key(self) -> str:
        """Its stage's and its folder's name."""
        return f"{self.task}-{self.backbone}-{self.mode}"

    @property
    def metric(self) -> str:
        """The task's main metric."""
        return self.metrics[0]
