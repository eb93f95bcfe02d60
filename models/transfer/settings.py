"""Settings of the transfer: which backbone."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.settings import Settings


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
