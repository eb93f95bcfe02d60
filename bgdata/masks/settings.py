"""Settings of mask cleaning and of the rules by which a mask is rejected."""

from pydantic import Field

from bgdata.settings import Settings


class CleanSettings(Settings):
    """`segment.clean`."""

    min_piece: float = Field(ge=0, le=1, description="pieces smaller than this share of the mask are dropped")
    max_hole: float = Field(ge=0, le=1, description="holes smaller than this share of the mask are filled")
    largest_only: bool = Field(description="keep only the largest piece")


class QualitySettings(Settings):
    """`segment.quality`: a mask outside these bounds is rejected and counted by reason."""

    min_box_share: float = Field(ge=0, le=1, description="foreground pixels over the box's area (the paper's 0.1)")
    max_photo_share: float = Field(gt=0, le=1, description="foreground pixels over the photo's area")
