"""Settings of the U-Net student."""

from typing import Literal

from pydantic import Field

from bgdata.settings import Settings


class UNetSettings(Settings):
    """`unet`: the network, and how it is trained on the masks that the pipeline made."""

    encoder: str = Field(
        description="segmentation_models_pytorch's name (resnet34), or tu- and a name of timm's (tu-resnet18)"
    )
    encoder_weights: Literal["imagenet"] | None = Field(
        description="start of the encoder: imagenet (downloaded, with the encoder's own licence) or null, random"
    )
    depth: int = Field(ge=3, le=5, description="stages of the encoder, each at half the resolution of the one before")
    size: int = Field(ge=32, multiple_of=32, description="side of the square in which it works, pixels")
    max_photos: int | None = Field(ge=1, description="a seeded sample of the train photos; null: all")
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    dice_share: float = Field(ge=0, le=1, description="the soft Dice loss's share of the loss; the rest: cross-entropy")
    crop_scale: float = Field(gt=0, le=1, description="random resized crop: the smallest share of the photo's area")
    flip: bool
    jitter: float = Field(ge=0, lt=1, description="largest relative change of brightness, contrast and saturation")
    threshold: float = Field(gt=0, lt=1, description="a pixel is foreground where its probability is at least this")
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="auto: bfloat16 where the machine has it")


class UNetJob(Settings):
    """What the train_unet stage reads."""

    unet: UNetSettings
    seed: int
