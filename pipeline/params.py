"""The whole of params.yaml: its sections, and what must hold between them."""

from difflib import get_close_matches
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from bgdata.compose.names import TILED, VARIANTS, background_set, correlated_set, mixed_sets, source_sets
from bgdata.compose.settings import BackgroundSource, CorrelatedSettings, MixSettings, RenderSettings
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.engines.settings import EngineSettings
from bgdata.fetch.settings import HuggingFaceSettings
from bgdata.ingest.settings import IngestSettings
from bgdata.settings import Settings
from bgdata.synthetic.settings import SyntheticSettings
from models.digits.settings import DigitsSettings
from models.evaluation.settings import ChallengeSettings, EvaluateSettings, LeakSettings, SaliencySettings
from models.segmenters.settings import DetectorName, Method, Sam3Name, SamName, SegmentSettings
from models.training.settings import INIT, SETS, RecipeSettings, TrainSettings, reads_backgrounds
from models.transfer.settings import TransferSettings
from models.unet.settings import UNetSettings

# The name becomes a stage's name and a folder's.
RecipeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
PROFILES = ("demo", "imagenet", "sample", "pets")
SEGMENTATION_SETS = ("coco", "voc", "davis")
BERT = "bert_base_uncased"
# Sources of weights, by the group that is fetched together: what one group's stages read does not rerun the other's.
WEIGHTS: dict[str, tuple[str, ...]] = {
    "segmenters": (*get_args(DetectorName), *get_args(SamName), *get_args(Sam3Name), BERT),
    "inpainting": ("big_lama",),
}


class RuntimeSettings(EngineSettings):
    """`runtime`: where and how to run."""

    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    workers: int | Literal["auto"]
    eval_batch: int = Field(ge=1)
    segment_batch: int = Field(ge=1)
    imagenet: str | None
    folder: str | None
    coco: str | None
    voc: str | None
    davis: str | None
    transfer: dict[str, str]
    mirror: str | None

    @model_validator(mode="after")
    def _has_workers(self) -> "RuntimeSettings":
        if self.workers != "auto" and self.workers < 1:
            raise ValueError("workers must be auto, or at least 1")
        return self


class FetchSettings(Settings):
    """`fetch`."""

    source: Literal["synthetic", "imagenet", "huggingface", "sample", "folder", "oxford_pets", "imagenette"]
    synthetic: SyntheticSettings
    huggingface: HuggingFaceSettings


class SegmentationSources(Settings):
    """`evaluate_segmentation.sources`: where each set comes from; none: it is left out."""

    coco: Literal["synthetic", "local", "download", "none"]
    voc: Literal["synthetic", "local", "download", "none"]
    davis: Literal["synthetic", "local", "download", "none"]


class EvaluateSegmentationSettings(Settings):
    """`evaluate_segmentation`."""

    samples: int = Field(ge=1, description="samples of each set, a seeded choice")
    methods: list[Method] = Field(description="the segmenters to judge; given: the truth itself, a check that scores 1")
    sources: SegmentationSources
    synthetic_images: int = Field(ge=10, description="images of each set that is drawn")
    max_unusable: float = Field(ge=0, le=1, description="share of a set's annotations or photos that may be of no use")


class StudentSettings(UNetSettings):
    """`unet`."""

    train: bool = Field(description="false: the stage trains nothing")


class Params(Settings):
    """params.yaml with its profile merged in."""

    seed: Seed
    seeds: list[Seed] = Field(min_length=1)
    classes: str = Field(min_length=1, description="in9, a CSV (class,wnid), or folders")
    runtime: RuntimeSettings
    fetch: FetchSettings
    ingest: IngestSettings
    segment: SegmentSettings
    evaluate_segmentation: EvaluateSegmentationSettings
    unet: StudentSettings
    render: RenderSettings
    backgrounds: dict[RecipeName, BackgroundSource]
    correlated: dict[RecipeName, CorrelatedSettings]
    mix: dict[Literal["mixup", "cutmix"], MixSettings]
    train: TrainSettings
    evaluate: EvaluateSettings
    challenge: ChallengeSettings
    leak: LeakSettings
    saliency: SaliencySettings
    corruptions: CorruptionSettings
    digits: DigitsSettings
    transfer: TransferSettings
    recipes: dict[RecipeName, RecipeSettings]

    @model_validator(mode="after")
    def _recipes_have_data(self) -> "Params":
        for name, recipe in self.recipes.items():
            if recipe.data in ("mixup", "cutmix") and recipe.data not in self.mix:
                raise ValueError(f"recipes.{name}.data is {recipe.data}, but mix.{recipe.data} is not there")
            known = [*SETS, *self._further_sets("train")]
            if recipe.data not in known:
                raise ValueError(
                    f"recipes.{name}.data is {recipe.data}: expected a set with train images, one of {', '.join(known)}"
                )
        return self

    def _further_sets(self, split: str) -> list[str]:
        """The sets of `backgrounds` and `correlated` that hold images of a split."""
        found: list[str] = []
        for name, source in self.backgrounds.items():
            unpaired = source.kind == "external" and source.classes is None
            sets = (background_set(name), mixed_sets(name)["mixed_rand"]) if unpaired else source_sets(name)
            found += sets if split in source.splits else ()
        for name, correlated in self.correlated.items():
            behind = self.backgrounds.get(correlated.background_from)
            found += [correlated_set(name)] if behind is None or split in behind.splits else []
        return found

    @model_validator(mode="after")
    def _backgrounds_are_there(self) -> "Params":
        for name in self.backgrounds:
            if background_set(name) in VARIANTS:
                raise ValueError(f"backgrounds.{name}: render makes {background_set(name)} itself; take another name")
        # What takes backgrounds, from where, and of which split.
        named = {f"recipes.{name}": (each.background_from, _splits_read(each)) for name, each in self.recipes.items()}
        named |= {f"correlated.{name}": (each.background_from, ()) for name, each in self.correlated.items()}
        for place, (source, splits) in (named | {"challenge": (self.challenge.background_from, ("val",))}).items():
            if source != TILED and source not in self.backgrounds:
                known = ", ".join([f"{TILED} (tiled)", *self.backgrounds])
                raise ValueError(f"{place}.background_from is {source!r}: expected one of {known}")
            for split in splits:
                if source != TILED and split not in self.backgrounds[source].splits:
                    raise ValueError(f"{place} takes {split} backgrounds of {source}: add it to its splits")
        return self

    @model_validator(mode="after")
    def _recipes_start_somewhere(self) -> "Params":
        for name in ("unet", INIT):
            if name in self.recipes:
                raise ValueError(f"recipes.{name}: runs/{name} holds something else; give the recipe another name")
        for name in self.recipes:
            passed = [name]
            while (start := self.recipes[passed[-1]].start) != INIT:
                if start not in self.recipes:
                    raise ValueError(f"recipes.{passed[-1]}.start is {start}, which is neither {INIT} nor a recipe")
                if start in passed:
                    raise ValueError(f"recipes.{name} starts from itself: {' <- '.join([*passed, start])}")
                passed.append(start)
        return self

    @model_validator(mode="after")
    def _backbones_are_there(self) -> "Params":
        for name, backbone in self.transfer.backbones.items():
            if backbone.recipe is not None and backbone.recipe not in self.recipes:
                close = get_close_matches(backbone.recipe, self.recipes) or sorted(self.recipes)
                raise ValueError(
                    f"transfer.backbones.{name}: no recipe is called {backbone.recipe!r}: try {', '.join(close)}"
                )
        return self

    @model_validator(mode="after")
    def _seeds_differ(self) -> "Params":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds holds one twice: {self.seeds}")
        return self

    @model_validator(mode="after")
    def _judged_unet_is_splits_read(self) -> "Params":
        if "unet" in self.evaluate_segmentation.methods and not self.unet.train:
            raise ValueError("evaluate_segmentation.methods names unet, but unet.train is false: set it to true")
        if self.leak.segmenter == "unet" and not self.unet.train and self.segment.unet.checkpoint is None:
            raise ValueError("leak.segmenter is unet, but unet.train is false: set it to true, or name another")
        return self


def _splits_read(recipe: RecipeSettings) -> tuple[str, ...]:
    """The splits of which a recipe, or the measure of its flow, reads backgrounds alone."""
    if recipe.flow is not None:
        return "train", "val"
    return ("train",) if reads_backgrounds(recipe) else ()
