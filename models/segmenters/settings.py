"""Settings of the segment stage."""

from typing import Literal

from pydantic import Field

from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.settings import Settings


class GrabCutSettings(Settings):
    """`segment.grabcut`: the paper's box + GrabCut."""

    iterations: int = Field(ge=1, le=50)


class SegmentSettings(Settings):
    """`segment`."""

    method: Literal["grabcut", "given"] = Field(description="given: the masks that came with the data")
    grabcut: GrabCutSettings
    clean: CleanSettings
    quality: QualitySettings


class SegmentJob(Settings):
    """What one run of the segment stage reads: `segment` without the methods that it does not use."""

    method: Literal["grabcut", "given"]
    grabcut: GrabCutSettings | None = None
    clean: CleanSettings
    quality: QualitySettings
