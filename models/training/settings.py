"""Settings of training and of recipes."""

from typing import Literal

from pydantic import Field

from bgdata.settings import Settings

SETS = ("original", "mixup", "cutmix", "mixed_same", "mixed_rand", "mixed_next", "only_fg", "no_fg", "only_bg_t", "only_bg_b")


class RecipeSettings(Settings):
    """`recipes.<name>`: which set is trained on, and what is done to its backgrounds."""

    data: Literal[SETS]  # type: ignore[valid-type]  # mypy wants the words spelled out; SETS keeps them in one place
    background: Literal["keep", "dynamic"] = Field(description="dynamic: replaced on the fly with probability train.p")


class TrainSettings(Settings):
    """`train`: what all recipes share."""

    arch: str = Field(description="resnet10, or a classifier of torchvision (resnet50, ...)")
    weights: str | None = Field(description="start weights: a local file, a torchvision name (IMAGENET1K_V2), or null")
    size: int = Field(ge=16, description="side of the network's input, pixels")
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the rate rises")
    label_smoothing: float = Field(ge=0, lt=1)
    crop_scale: float = Field(gt=0, le=1, description="random resized crop: the smallest share of the image's area")
    flip: bool
    jitter: float = Field(ge=0, lt=1, description="largest relative change of brightness, contrast and saturation")
    p: float = Field(ge=0, le=1, description="probability that dynamic replaces an image's background")
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="auto: bfloat16 where the machine has it")
