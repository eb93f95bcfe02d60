"""Settings of the sets that the transfer tasks use."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.settings import Settings

Layout = Literal["coco", "voc", "ade20k", "cifar10", "folder", "scenes"]
Task = Literal["detection", "segmentation", "classification"]


class DrawnSettings(Settings):
    """`scenes` of a set: the images that are drawn, as the demo's are."""

    train: int = Field(ge=10, description="images in train")
    val: int = Field(ge=10, description="images in val")
    size: int = Field(ge=64, description="shorter side, pixels")
    difficulty: float = Field(ge=0, le=1, description="clutter, noise, colour overlap, smallness of the objects")


class TransferSetSettings(Settings):
    """One set: how its files lie, and where they come from."""

    layout: Layout
    source: Literal["synthetic", "local", "download"] = Field(
        description="synthetic: drawn (scenes alone); local: named in runtime; download: from the publisher"
    )
    scenes: DrawnSettings | None = Field(default=None, description="of the layout scenes alone")
    val_share: float | None = Field(
        default=None, gt=0, lt=1, description="of the layout folder alone: share that becomes val in a tree not split"
    )
    max_unusable: float = Field(
        default=0.0, ge=0, le=1, description="share of the annotations or photos that may be of no use"
    )

    @property
    def has_objects(self) -> bool:
        """Whether objects have masks of their own, so that what is behind them can be exchanged."""
        return self.layout in ("coco", "voc", "scenes")

    @model_validator(mode="after")
    def _fits_its_layout(self) -> "TransferSetSettings":
        if (self.layout == "scenes") != (self.source == "synthetic"):
            raise ValueError(f"source is {self.source}: scenes are synthetic, and nothing else is")
        if (self.layout == "scenes") != (self.scenes is not None):
            raise ValueError(f"layout is {self.layout}: scenes must have the section `scenes`, and nothing else may")
        if self.layout == "folder" and self.source == "download":
            raise ValueError("source is download: class folders have no publisher, take local")
        if (self.layout == "folder") != (self.val_share is not None):
            raise ValueError(f"layout is {self.layout}: folder must have val_share, and nothing else may")
        return self
