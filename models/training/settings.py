"""Settings of training and of recipes."""

from typing import Literal

from pydantic import Field, model_validator

from bgdata.settings import Settings

SETS = (
    "original",
    "mixup",
    "cutmix",
    "mixed_same",
    "mixed_rand",
    "mixed_next",
    "only_fg",
    "no_fg",
    "only_bg_t",
    "only_bg_b",
)
# Sets with one whole foreground an image, whose background can therefore be replaced.
_REPLACEABLE = ("original", "mixed_same", "mixed_rand", "mixed_next", "only_fg")


class RecipeSettings(Settings):
    """`recipes.<name>`: which set is trained on, and what is done to its backgrounds."""

    data: Literal[SETS]  # type: ignore[valid-type]  # mypy wants the words spelled out; SETS keeps them in one place
    background: Literal["keep", "dynamic"] = Field(description="dynamic: replaced on the fly with probability train.p")

    @model_validator(mode="after")
    def _has_a_foreground(self) -> "RecipeSettings":
        if self.background == "dynamic" and self.data not in _REPLACEABLE:
            raise ValueError(
                f"background dynamic needs data with a foreground ({', '.join(_REPLACEABLE)}), not {self.data}"
            )
        return self


class LoopSettings(Settings):
    """What the loop reads: `train` without what belongs to single recipes."""

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
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="auto: bfloat16 where the machine has it")


class TrainSettings(LoopSettings):
    """`train`: what all recipes share."""

    p: float = Field(ge=0, le=1, description="probability that dynamic replaces an image's background")


class NamedRecipe(RecipeSettings):
    """A recipe with the name under which its run and scores are kept."""

    name: str


class TrainJob(Settings):
    """One recipe's resolved settings, as the train stage reads them; `train.p` is there for dynamic recipes alone.

    A change of p therefore reruns no recipe that does not use it.
    """

    recipe: NamedRecipe
    train: TrainSettings | LoopSettings
    seed: int

    @model_validator(mode="after")
    def _p_where_used(self) -> "TrainJob":
        if (self.recipe.background == "dynamic") != isinstance(self.train, TrainSettings):
            raise ValueError("train.p belongs to recipes with background: dynamic, and to no other")
        return self

    @property
    def p(self) -> float | None:
        """The probability of replacement; None for recipes that keep their backgrounds."""
        return self.train.p if isinstance(self.train, TrainSettings) else None
