"""Settings of rendering and mixing."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.ingest.settings import PerClass
from bgdata.settings import Settings


class RenderSettings(Settings):
    """`render`."""

    resize: int = Field(ge=16, description="shorter side before the crop, pixels")
    size: int = Field(ge=16, description="side of the centre crop, pixels")
    jpeg_quality: int = Field(ge=1, le=100)
    edge: Literal["hard", "soft"] = Field(
        description="of the rendered sets; hard: by mask, soft: by an alpha with a feathered edge (dynamic replacement "
        "and the challenge paste by the hard mask)"
    )
    feather: float = Field(gt=0, description="sigma of the soft edge, pixels")
    mixed_rand_from: Literal["any_class", "other_class"] = Field(
        description="whether mixed_rand may draw the same class"
    )
    per_class: PerClass
    images_per_shard: int = Field(ge=1)

    @model_validator(mode="after")
    def _crop_fits(self) -> "RenderSettings":
        if self.size > self.resize:
            raise ValueError(f"size {self.size} does not fit into resize {self.resize}")
        return self


class MixSettings(Settings):
    """`mix.<method>`: one set of mixed images."""

    alpha: float = Field(gt=0, description="lambda is drawn from Beta(alpha, alpha)")
    per_image: int = Field(ge=1, description="mixed images written for each original")
