"""Results as people submit them: what the judges' `--out` writes, checked before anybody trusts its shape."""

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bgdata.classes import ClassList, check_same, read_class_list
from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from models.evaluation.corruption_shapes import CellScore, Count, Name, Rate, Region, RegionScores, Result

Kind = TypeVar("Kind", bound=BaseModel)


def _known(variant: str) -> str:
    if variant not in VARIANTS:
        raise ValueError(f"expected one of {', '.join(VARIANTS)}")
    return variant


# ImageNet-21k's classes at most.
_CLASSES = 22_000
_LONGEST = 5  # digits of a class's number


class ListRecord(Result):
    """A list of classes as results hold it (`ClassList.to_record`)."""

    name: Name
    names: tuple[Name, ...] = Field(min_length=1, max_length=_CLASSES)
    wnids: tuple[Annotated[str, Field(max_length=20_000, pattern=r"^[\w. -]*$")], ...] = Field(max_length=_CLASSES)

    @model_validator(mode="after")
    def _is_a_list(self) -> "ListRecord":
        read_class_list(self.model_dump(), where="it")
        return self


class _Judged(Result):
    """What all judges write."""

    model: dict[str, Any]
    command: str
    split: str
    class_list: ListRecord | None = Field(default=None, description="absent where it is ImageNet-9's")

    @cached_property
    def classes(self) -> ClassList:
        """The classes that it is of."""
        return read_class_list(self.class_list and self.class_list.model_dump(), where="the result")


class VariantScore(Result):
    """The accuracy on one variant."""

    accuracy: Rate
    correct: int = Field(ge=0)
    count: Count


class Predictions(Result):
    """The class of each photo, in the order of the photos' ids: a digit each, or numbers with spaces between."""

    photos_sha256: str
    classes: str = Field(pattern=r"^([0-9]*|[0-9]{1,5}( [0-9]{1,5})*)$")

    def labels(self, photos: int) -> list[int]:
        """The classes of so many photos; another number of them where they are of other photos."""
        # One photo has one number, of more digits than one where there are many classes.
        numbers = " " in self.classes or (photos == 1 and len(self.classes) <= _LONGEST)
        return [int(cell) for cell in (self.classes.split() if numbers else self.classes)]


class In9Result(_Judged):
    """What `pipeline.evaluate --out` or `pipeline.probe --out` wrote."""

    variants: dict[Annotated[str, AfterValidator(_known)], VariantScore] = Field(min_length=1)
    predictions: dict[str, Predictions] = Field(default={})
    probe: dict[str, Any] | None = None


class Verdict(Result):
    """One foreground's."""

    id: str
    vulnerable: bool


class ChallengeResult(_Judged):
    """What `pipeline.challenge --out` wrote, of all foregrounds."""

    challenge_accuracy: Rate
    vulnerable: int = Field(ge=0)
    count: Count
    backgrounds: Count
    foregrounds: tuple[Verdict, ...]
    nine_only: bool = False
    background_from: Literal["t"] = Field(default="t", description="on other backgrounds it is another challenge")
    feather: None = Field(default=None, description="with a soft edge it is another challenge")
    part: None = Field(default=None, description="a part of the foregrounds is no result")


class CorruptionsResult(_Judged):
    """What `pipeline.corruptions --out` wrote, of whole photos and perhaps of parts of them too."""

    source: Literal["ours", "published"]
    images: Count
    clean: CellScore | None
    regions: dict[Region, RegionScores]

    @model_validator(mode="after")
    def _has_whole_photos(self) -> "CorruptionsResult":
        if "whole" not in self.regions:
            raise ValueError("regions lacks whole: judge corruptions of whole photos too")
        return self

    @property
    def whole(self) -> RegionScores:
        """The scores under corruptions of whole photos."""
        return self.regions["whole"]


AnyResult = In9Result | ChallengeResult | CorruptionsResult


class Submission(BaseModel):
    """One file of the leaderboard's folder: who, and the results of one judge or several."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    link: str = Field(pattern=r"^https?://[^\s()<>]+$")
    trained_on: str = Field(min_length=1, max_length=120)
    in9: In9Result | None = None
    challenge: ChallengeResult | None = None
    corruptions: CorruptionsResult | None = None

    @model_validator(mode="after")
    def _holds_results(self) -> "Submission":
        if not self.results:
            raise ValueError("in9, challenge and corruptions are all missing, expected what a judge's --out wrote")
        check_same({name: result.classes for name, result in self._by_name.items()})
        return self

    @property
    def classes(self) -> ClassList:
        """The classes that its results are of."""
        return self.results[0].classes

    @property
    def results(self) -> tuple[AnyResult, ...]:
        """The results that are there."""
        return tuple(self._by_name.values())

    @property
    def _by_name(self) -> dict[str, AnyResult]:
        named = {"in9": self.in9, "challenge": self.challenge, "corruptions": self.corruptions}
        return {name: result for name, result in named.items() if result is not None}


def read_submission(path: Path) -> Submission:
    """One submitted file.

    Raises InputError where it is missing or broken, naming each key that is wrong.
    """
    return _validated(Submission, read_json(path), path)


def read_results(path: Path) -> tuple[AnyResult, ...]:
    """The results in a submission, or the one that a judge's `--out` wrote.

    Raises InputError as `read_submission` does.
    """
    content = read_json(path)
    if "variants" in content:
        return (_validated(In9Result, content, path),)
    if "regions" in content:
        return (_validated(CorruptionsResult, content, path),)
    if "foregrounds" in content:
        return (_validated(ChallengeResult, content, path),)
    return _validated(Submission, content, path).results


def read_json(path: Path) -> dict[str, Any]:
    """A file that holds one JSON object.

    Raises InputError where it is missing or holds none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is no result: expected what a judge's --out wrote")
    return content


def _validated(kind: type[Kind], content: dict[str, Any], path: Path) -> Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors()]
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise InputError(
            f"{path} is no result to take in ({'; '.join(faults[:5])}{more}): "
            "make it by a judge's --out and `python -m pipeline.leaderboard submit`"
        ) from None
