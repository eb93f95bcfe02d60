"""Settings of the transfer: which backbone, and how it is trained with what stands on it."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.settings import Settings
from models.transfer.modes import Mode


class BackboneSettings(Settings):
    """One backbone: `{recipe: NAME}`, `{arch: NAME, weights: ...}` or `{published: KIND, file: PATH}`."""

    recipe: str | None = Field(default=None, description="a recipe of params.yaml: the first seed's checkpoint")
    arch: str | None = Field(
        default=None,
        description="resnet8, resnet10, or a name of torchvision's (swin_t) or timm's (timm:convnext_tiny)",
    )
    weights: str | None = Field(
        default=None,
        description="arch: the name of published ones (IMAGENET1K_V2; timm's: a1_in1k; default), a local file, or "
        "null: drawn at random",
    )
    published: Literal["ant", "deepaugment_augmix", "adversarial"] | None = Field(
        default=None, description="a robust ResNet-50 as its authors publish it, in `file`"
    )
    file: str | None = Field(default=None, description="published: the checkpoint")

    @model_validator(mode="after")
    def _is_one(self) -> "BackboneSettings":
        said = [name for name in ("recipe", "arch", "published") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"a backbone is one of recipe, arch and published, {' and '.join(said) or 'none of them'} was given"
            )
        # Random weights are asked for, not fallen into.
        if (self.arch is not None) != ("weights" in self.model_fields_set):
            raise ValueError("arch goes with weights (a name, a file, or null: drawn at random), nothing else does")
        if (self.published is not None) != (self.file is not None):
            raise ValueError("published goes with file, the checkpoint, nothing else does")
        return self


class TrainSettings(Settings):
    """How long and how a task's network is trained; what is null is the preset's (`models.transfer.presets`)."""

    mode: Mode = Field(description="what of the backbone is trained: fixed_feature, fixed_weights or full_network")
    epochs: int | None = Field(default=None, ge=1, description="passes over the images; or `steps`")
    steps: int | None = Field(default=None, ge=1, description="batches; or `epochs`")
    batch: int | None = Field(default=None, ge=1, description="images a step")
    optimizer: Literal["sgd", "adamw"] | None = Field(default=None, description="small trainings: adamw gets further")
    lr: float | None = Field(default=None, gt=0, description="peak learning rate")
    warmup: int | None = Field(default=None, ge=0, description="steps in which it rises, a tenth of all at most")
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient; null: as it is")

    @model_validator(mode="after")
    def _is_one_length(self) -> "TrainSettings":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("a training is as long as epochs or steps say: give one of them")
        return self
