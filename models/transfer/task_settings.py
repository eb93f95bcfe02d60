"""Settings of the tasks' networks: their images, what stands on the backbone, and what is drawn in training."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.settings import Settings
from models.training.settings import AugmentSettings


class DetectionSettings(Settings):
    """The detector: images, pyramid and heads. What full-size detectors have is said in brackets."""

    size: int = Field(ge=32, description="shorter side in pixels that images are resized to [800]")
    max_size: int = Field(ge=32, description="longer side at most [1333]")
    jitter: float = Field(ge=0, lt=1, description="training images are up to this share smaller or larger [0]")
    flip: bool = Field(description="half of the training images are mirrored [true]")
    channels: int = Field(ge=8, description="of the pyramid's maps and the mask head [256]")
    hidden: int = Field(ge=8, description="width of the box head's two layers [1024]")
    mask_layers: int = Field(ge=1, description="convolutions of the mask head [4]")
    anchor: float = Field(gt=0, description="side of the anchors, in strides of their map [8]")
    sampling: int = Field(ge=1, description="points a side of each place that is pooled from a map [2]")
    proposals: int = Field(ge=1, description="of an image in training, half as many later [2000]")
    samples: int = Field(ge=2, description="of an image's proposals, and half as many of its anchors, train [512]")
    detections: int = Field(ge=1, le=100, description="of an image, at most [100, as many as COCO's AP counts]")
    score: float = Field(ge=0, lt=1, description="least score of a detection [0.05]")
    augment: AugmentSettings | None = Field(default=None, description="prime without warp; null: none")


class SegmentationSettings(Settings):
    """The segmenter: images, head and what is drawn in training. mmsegmentation's UPerNet's is said in brackets."""

    size: int = Field(ge=32, description="shorter side in pixels that images are resized to [512]")
    crop: int = Field(ge=32, description="side in pixels of the squares that are cut from them in training [512]")
    head: Literal["upernet", "fcn", "fused_fcn"] = Field(
        description="fcn: on the coarsest map; fused_fcn: on the sum of all maps [upernet]"
    )
    channels: int = Field(ge=8, description="of the head's layers [512]")
    dropout: float = Field(ge=0, lt=1, description="of whole maps before the last layer [0.1]")
    auxiliary: float = Field(ge=0, description="weight of the loss of an fcn on the map before the coarsest [0.4]")
    balance: float = Field(
        ge=0, le=1, description="rare classes weigh more: 0 not at all, 1 as much as frequent ones [0]"
    )
    min_scale: float = Field(gt=0, description="images are enlarged by at least this factor before the crop [0.5]")
    max_scale: float = Field(gt=0, description="and by at most this [2.0]")
    most_of_one: float = Field(
        gt=0, le=1, description="a crop is drawn anew, ten times at most, where one class has more of it [0.75]"
    )
    flip: bool = Field(description="half of the crops are mirrored [true]")
    augment: AugmentSettings | None = Field(default=None, description="prime without warp; null: none")

    @model_validator(mode="after")
    def _fits_together(self) -> "SegmentationSettings":
        if self.min_scale > self.max_scale:
            raise ValueError(f"min_scale is {self.min_scale}, above max_scale, {self.max_scale}")
        if self.crop % 32:
            raise ValueError(f"crop is {self.crop}: take a multiple of 32, the coarsest stride of backbones")
        return self


class ClassificationSettings(Settings):
    """The classifier: what its images are, and what is drawn in training. robust-models-transfer's is in brackets."""

    size: int = Field(ge=16, description="side in pixels before the crop; backbones resize to their own [32 of CIFAR]")
    crop_scale: float = Field(gt=0, le=1, description="least share of the area that a random crop shows [4 px of pad]")
    flip: bool = Field(description="half of the training images are mirrored [true]")
    augment: AugmentSettings | None = Field(default=None, description="augmix or prime; null: none")
