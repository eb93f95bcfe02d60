"""Settings of the judges."""

from pydantic import Field

from bgdata.settings import Settings
from models.segmenters.settings import Method


class ChallengeSettings(Settings):
    """`challenge`."""

    rated_per_class: int | None = Field(
        ge=0,
        description="foregrounds of each class, a seeded choice, that are put on every background, for fooling rates; "
        "null: all of them, 0: none",
    )
    background_from: str = Field(min_length=1, description="t (tiled), or a source of `backgrounds`")
    feather: float | None = Field(gt=0, description="sigma of a soft edge of the foregrounds, pixels; null: hard")


class EvaluateSettings(Settings):
    """`evaluate`."""

    sensitivity_per_class: int | None = Field(
        ge=1, description="photos of each class, a seeded choice, that noise is put on; null: all of them"
    )
    places_per_class: int | None = Field(
        ge=0,
        description="photos of each class, a seeded choice, whose foregrounds are moved and scaled; null: all of them, "
        "0: none",
    )


class SaliencySettings(Settings):
    """`saliency`."""

    per_class: int | None = Field(ge=1, description="photos of each class, a seeded choice; null: all of them")
    pictured: int = Field(ge=0, description="of these, photos on the picture sheet")


class LeakSettings(Settings):
    """`leak`: what the backgrounds of each source give away of the object."""

    per_class: int | None = Field(
        ge=1, description="photos of each class, a seeded choice, for holes and found masks; null: all of them"
    )
    segmenter: Method | None = Field(
        description="what looks for the object in the backgrounds: a method of `segment`; null: segment.method itself"
    )
