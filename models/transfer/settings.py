"""Settings of the transfer: which tasks on which backbones, how they are trained, and under what they are judged."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bgdata.corrupt.settings import CellSettings, unlike
from bgdata.settings import Settings
from bgdata.transfer_sets.settings import Task, TransferSetSettings
from models.transfer.task_settings import ClassificationSettings, DetectionSettings, SegmentationSettings

Mode = Literal["fixed_feature", "fixed_weights", "full_network"]
# Part of a stage's name and of a file's.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]


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


class ScheduleSettings(Settings):
    """How long and how a task's network is trained; what is null is the preset's (`models.transfer.presets`)."""

    epochs: int | None = Field(default=None, ge=1, description="passes over the images; or `steps`")
    steps: int | None = Field(default=None, ge=1, description="batches; or `epochs`")
    batch: int | None = Field(default=None, ge=1, description="images a step")
    optimizer: Literal["sgd", "adamw"] | None = Field(default=None, description="small trainings: adamw gets further")
    lr: float | None = Field(default=None, gt=0, description="peak learning rate")
    warmup: int | None = Field(default=None, ge=0, description="steps in which it rises, a tenth of all at most")
    clip: float | None = Field(default=None, gt=0, description="largest norm of the gradient; null: as it is")

    @model_validator(mode="after")
    def _is_one_length(self) -> "ScheduleSettings":
        if self.epochs is not None and self.steps is not None:
            raise ValueError("a training is as long as epochs or steps say: give one of them")
        return self


class TrainSettings(ScheduleSettings):
    """A schedule, and what of the backbone it trains."""

    mode: Mode = Field(description="what of the backbone is trained: fixed_feature, fixed_weights or full_network")


class TaskSettings(Settings):
    """What all tasks share: the set, and the schedule, `train` with what single modes set otherwise."""

    set: Name | None = Field(description="one of transfer.sets; null: the task is left out")
    train: ScheduleSettings
    modes: dict[Mode, ScheduleSettings] = Field(description="what single modes set otherwise than `train` does")

    def schedule(self, mode: Mode) -> TrainSettings:
        """The schedule of a mode; its own length takes the place of `train`'s."""
        own = self.modes.get(mode, ScheduleSettings()).model_dump(exclude_none=True)
        common = self.train.model_dump(exclude_none=True)
        if {"steps", "epochs"} & own.keys():
            common = {name: value for name, value in common.items() if name not in ("steps", "epochs")}
        return TrainSettings(mode=mode, **common | own)


class DetectionTask(TaskSettings):
    """`transfer.detection`."""

    network: DetectionSettings


class SegmentationTask(TaskSettings):
    """`transfer.segmentation`."""

    network: SegmentationSettings


class ClassificationTask(TaskSettings):
    """`transfer.classification`."""

    network: ClassificationSettings


class TransferSettings(Settings):
    """`transfer`: every task of `tasks` on every backbone in every mode."""

    tasks: Annotated[list[Task], AfterValidator(unlike)] = Field(min_length=1)
    backbones: dict[Name, BackboneSettings] = Field(min_length=1)
    modes: Annotated[list[Mode], AfterValidator(unlike)] = Field(min_length=1)
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], AfterValidator(unlike)] = Field(
        min_length=1, description="of these trainings: each network is trained once a seed"
    )
    background: Literal["tiled", "telea"] | None = Field(
        description="objects are judged on other images' backgrounds too: how those images' own objects are removed; "
        "null: not judged"
    )
    sets: dict[Name, TransferSetSettings]
    corruptions: CellSettings
    detection: DetectionTask
    segmentation: SegmentationTask
    classification: ClassificationTask

    @model_validator(mode="after")
    def _sets_are_there(self) -> "TransferSettings":
        for task, settings in self.by_task.items():
            if settings.set is not None and settings.set not in self.sets:
                raise ValueError(
                    f"{task}.set is {settings.set!r}, and transfer.sets has no such set: give one of "
                    f"{', '.join(self.sets) or 'none, as it is empty'}, or null"
                )
        return self

    @property
    def by_task(self) -> Mapping[Task, TaskSettings]:
        """The settings of each task."""
        return {
            "detection": self.detection,
            "segmentation": self.segmentation,
            "classification": self.classification,
        }
