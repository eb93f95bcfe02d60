"""The shape of what the judge of corruptions writes: what people and pages read of it is checked, the rest ignored."""

from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bgdata.corrupt.corruptions import CORRUPTIONS, REGIONS, SEVERITIES, STANDARD

Rate = Annotated[float, Field(ge=0, le=1)]
# May be more than 1: rPC of a model that corruption helps, mCE of one that is worse than the normaliser.
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
# Shown on pages: no line breaks or other control characters.
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Severity = Annotated[str, Field(pattern=r"^[1-5]$")]


def _one_of(known: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return name

    return AfterValidator(check)


CorruptionName = Annotated[str, _one_of(CORRUPTIONS)]
Region = Annotated[str, _one_of(REGIONS)]


class Result(BaseModel):
    """What is read of a result; it holds more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CellScore(Result):
    """Accuracy and calibration of the clean photos, or under one corruption at one severity."""

    accuracy: Rate
    correct: int = Field(ge=0)
    count: Count
    interval: tuple[Rate, Rate]
    ece: Rate | None = None


class ExtraSummary(Result):
    """The four further corruptions, which count apart."""

    mpc: Rate | None
    rpc: Ratio | None


class Summary(Result):
    """What the cells of a region come to, of the fifteen corruptions; `normaliser` says what mCE is divided by, or why
    there is none.
    """

    mpc: Rate | None
    rpc: Ratio | None
    mean_error: Rate | None
    mce: Ratio | None
    ece: Rate | None
    normaliser: Name | None
    corruptions: int = Field(ge=0, le=len(STANDARD))
    cells: int = Field(ge=0)
    missing: tuple[Name, ...] = ()
    complete: bool
    extra: ExtraSummary | None = None

    @property
    def run(self) -> str:
        """What was run of the fifteen corruptions at five severities."""
        return what_was_run(self.corruptions, self.cells)


def what_was_run(corruptions: int, cells: int) -> str:
    """In words, how many of the fifteen corruptions, and of these at five severities (`cells`)."""
    of, of_cells = len(STANDARD), len(STANDARD) * len(SEVERITIES)
    if cells == of_cells:
        return f"{of} corruptions at {len(SEVERITIES)} severities"
    return f"partial: {corruptions} of {of} corruptions, {cells} of {of_cells} with severity"


class RegionScores(Result):
    """Corruptions on the whole photos, or on their foregrounds or backgrounds alone: by corruption and severity."""

    corruptions: dict[CorruptionName, dict[Severity, CellScore]] = Field(min_length=1)
    summary: Summary

    @property
    def run(self) -> dict[str, tuple[str, ...]]:
        """The severities of each corruption that was run, in the published order, the four further ones last."""
        return {name: tuple(sorted(self.corruptions[name])) for name in CORRUPTIONS if name in self.corruptions}
