"""Settings of rendering and mixing."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bgdata.ingest.settings import PerClass
from bgdata.settings import Settings

Split = Literal["train", "val"]
Place = Literal["top_left", "top", "top_right", "left", "centre", "right", "bottom_left", "bottom", "bottom_right"]


class PlacementSettings(Settings):
    """Where a foreground stands before another background, and how large."""

    position: Literal["keep", "random"] | Place = Field(
        description="keep: where it stood; random: anywhere inside the frame; or a cell of the frame's 3 x 3 grid"
    )
    size: list[float] = Field(
        min_length=2, max_length=2, description="it is scaled by a factor drawn between these; [1, 1]: its own size"
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> "PlacementSettings":
        if not 0 < self.size[0] <= self.size[1]:
            raise ValueError(f"size must be two factors above 0, the smaller first, not {list(self.size)}")
        return self


class RenderLooks(Settings):
    """What rendered images look like, whatever is rendered: `render` without its choice of photos."""

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
    placement: PlacementSettings = Field(description="of the foregrounds of the mixed variants")
    images_per_shard: int = Field(ge=1)

    @model_validator(mode="after")
    def _crop_fits(self) -> "RenderLooks":
        if self.size > self.resize:
            raise ValueError(f"size {self.size} does not fit into resize {self.resize}")
        return self


class RenderSettings(RenderLooks):
    """`render`."""

    per_class: PerClass


class MixSettings(Settings):
    """`mix.<method>`: one set of mixed images."""

    alpha: float = Field(gt=0, description="lambda is drawn from Beta(alpha, alpha)")
    per_image: int = Field(ge=1, description="mixed images written for each original")


class FilledSettings(Settings):
    """`backgrounds.<name>` of kind filled: the foreground removed by inpainting."""

    kind: Literal["filled"]
    method: Literal["telea", "navier_stokes", "lama"] = Field(
        description="telea, navier_stokes: OpenCV's, without weights; lama: a network (big-lama.pt)"
    )
    weights: str | None = Field(description="lama: a local file; null: downloaded")
    radius: float = Field(gt=0, description="telea, navier_stokes: the neighbourhood of a pixel, pixels")
    dilate: Annotated[int, Field(ge=0)] | Literal["foraug"] = Field(
        description="pixels by which the hole is larger than the mask; foraug: by the support of its blur"
    )
    at: Literal["crop", "photo"] = Field(description="whether the crop is filled, or the photo before it is cropped")
    max_foreground: float = Field(gt=0, le=1, description="share of the crop; a larger foreground gives no background")
    splits: list[Split] = Field(min_length=1)


class ExternalSettings(Settings):
    """`backgrounds.<name>` of kind external: photos without objects (Places365, DTD ...)."""

    kind: Literal["external"]
    folder: str = Field(min_length=1, description="photos, in any depth of folders")
    classes: dict[str, list[str]] | None = Field(
        description="{class: [sub-folders whose photos are its backgrounds]}, for mixed_same and mixed_next; null: none"
    )
    val_share: float = Field(gt=0, lt=1, description="of the photos, a seeded choice, that stand in val alone")
    splits: list[Split] = Field(min_length=1)


BackgroundSource = Annotated[FilledSettings | ExternalSettings, Field(discriminator="kind")]


class BackgroundsJob(Settings):
    """What one run of the backgrounds stage reads."""

    source: BackgroundSource
    render: RenderLooks
    seed: int


class CorrelatedSettings(Settings):
    """`correlated.<name>`: a set in which class and background go together as often as it says.

    Source: Waterbirds (Sagawa et al. 2020), whose `confounder_strength` this is.
    """

    correlation: float = Field(
        ge=0, le=1, description="share of each class's foregrounds that stand on its partner's background; 0: none"
    )
    partners: dict[str, str] | None = Field(
        description="{class: class whose backgrounds are its partners}; null: each class's own"
    )
    background_from: str = Field(min_length=1, description="t (tiled), or a source of `backgrounds`")
