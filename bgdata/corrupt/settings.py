"""Settings of corrupted sets."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bgdata.corrupt.names import NAMES, STANDARD_NAMES, Corruption
from bgdata.settings import Settings

_WORDS = {"standard": list(STANDARD_NAMES), "all": list(NAMES)}


def _listed(names: Any) -> Any:
    """`standard` and `all` as the lists that they stand for."""
    if not isinstance(names, str):
        return names
    if names not in _WORDS:
        raise ValueError(f"{names!r} is no choice of corruptions: give {', '.join(_WORDS)}, or a list of names")
    return _WORDS[names]


def _known(name: str) -> str:
    if name not in NAMES:
        raise ValueError(f"{name!r} is no corruption: give one of {', '.join(NAMES)}")
    return name


def unlike(values: list[Any]) -> list[Any]:
    """The values themselves; raises ValueError where one stands twice."""
    if len(set(values)) < len(values):
        raise ValueError(f"one stands twice in {', '.join(map(str, values))}: remove it")
    return values


Name = Annotated[str, AfterValidator(_known)]
Severity = Annotated[int, Field(ge=1, le=5)]
Region = Literal["whole", "foreground", "background"]


class CellSettings(Settings):
    """Which corruptions, at which severities."""

    names: Annotated[list[Name], BeforeValidator(_listed), AfterValidator(unlike), Field(min_length=1)] = Field(
        description="corruptions by name; or `standard`, the fifteen, or `all`, with the four further ones"
    )
    severities: Annotated[list[Severity], AfterValidator(unlike), Field(min_length=1)]


class CorruptionSettings(CellSettings):
    """`corruptions`."""

    regions: Annotated[list[Region], AfterValidator(unlike), Field(min_length=1)] = Field(
        description="what of a photo is corrupted: the whole, the foreground alone, the background alone"
    )
    store: bool = Field(description="true: sets are written once, as shards; false: made on the fly, the same bytes")
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        description="of the corrupted files (85: as ImageNet-C's); null: PNG, without loss"
    )

    def corruptions(self) -> list[Corruption]:
        """All of them, by region, then name, then severity."""
        return [
            Corruption(name, severity, region)
            for region in self.regions
            for name in self.names
            for severity in self.severities
        ]

    @property
    def need_masks(self) -> bool:
        """Whether a region is asked for that only a mask shows."""
        return need_masks(self.regions)


def need_masks(regions: Sequence[str]) -> bool:
    """Whether one of these regions is one that only a mask shows."""
    return any(region != "whole" for region in regions)
