"""Settings of the embedded demo data."""

from pydantic import Field

from bgdata.settings import Settings


class SyntheticSettings(Settings):
    """`fetch.synthetic`: the scenes that are drawn."""

    train_per_class: int = Field(ge=2, description="scenes a class in train")
    val_per_class: int = Field(ge=2, description="scenes a class in val")
    size: int = Field(ge=256, description="shorter side, pixels")
    bias: float = Field(ge=0, le=1, description="share of scenes that stand on their own class's scenery")
    difficulty: float = Field(ge=0, le=1, description="clutter, noise, colour overlap, smallness of the objects")
