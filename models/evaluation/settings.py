"""Settings of the judges."""

from pydantic import Field

from bgdata.settings import Settings


class ChallengeSettings(Settings):
    """`challenge`."""

    rated_per_class: int | None = Field(
        ge=0,
        description="foregrounds of each class, a seeded choice, that are put on every background, for fooling rates; "
        "null: all of them, 0: none",
    )


class EvaluateSettings(Settings):
    """`evaluate`."""

    sensitivity_per_class: int | None = Field(
        ge=1, description="photos of each class, a seeded choice, that noise is put on; null: all of them"
    )


class SaliencySettings(Settings):
    """`saliency`."""

    per_class: int | None = Field(ge=1, description="photos of each class, a seeded choice; null: all of them")
    pictured: int = Field(ge=0, description="of these, photos on the picture sheet")
