"""The whole of params.yaml: its types, the merge of the profile, and the settings of each stage and item."""

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bgdata.compose.settings import MixSettings, RenderSettings
from bgdata.errors import InputError
from bgdata.fetch.settings import HuggingFaceSettings
from bgdata.ingest.settings import IngestSettings
from bgdata.settings import Settings
from bgdata.synthetic.settings import SyntheticSettings
from models.digits.settings import DigitsSettings
from models.evaluation.settings import ChallengeSettings, SaliencySettings
from models.segmenters.settings import SECTIONS, DetectorName, Method, SamName, SegmentSettings
from models.training.settings import INIT, RecipeSettings, TrainSettings
from models.unet.settings import UNetSettings

# The name becomes a stage's name and a folder's.
RecipeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
PROFILES = ("demo", "imagenet", "sample")
SEGMENTATION_SETS = ("coco", "voc", "davis")
BERT = "bert_base_uncased"
WEIGHTS = (*get_args(DetectorName), *get_args(SamName), BERT)


class RuntimeSettings(Settings):
    """`runtime`: where and how to run."""

    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    workers: int | Literal["auto"]
    eval_batch: int = Field(ge=1)
    segment_batch: int = Field(ge=1)
    imagenet: str | None
    coco: str | None
    voc: str | None
    davis: str | None
    mirror: str | None

    @model_validator(mode="after")
    def _has_workers(self) -> "RuntimeSettings":
        if self.workers != "auto" and self.workers < 1:
            raise ValueError("workers must be auto, or at least 1")
        return self


class FetchSettings(Settings):
    """`fetch`."""

    source: Literal["synthetic", "imagenet", "huggingface", "sample"]
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


class StudentSettings(UNetSettings):
    """`unet`."""

    train: bool = Field(description="false: the stage trains nothing")


class Params(Settings):
    """params.yaml with its profile merged in."""

    seed: Seed
    seeds: list[Seed] = Field(min_length=1)
    runtime: RuntimeSettings
    fetch: FetchSettings
    ingest: IngestSettings
    segment: SegmentSettings
    evaluate_segmentation: EvaluateSegmentationSettings
    unet: StudentSettings
    render: RenderSettings
    mix: dict[Literal["mixup", "cutmix"], MixSettings]
    train: TrainSettings
    challenge: ChallengeSettings
    saliency: SaliencySettings
    digits: DigitsSettings
    recipes: dict[RecipeName, RecipeSettings]

    @model_validator(mode="after")
    def _recipes_have_data(self) -> "Params":
        for name, recipe in self.recipes.items():
            if recipe.data in ("mixup", "cutmix") and recipe.data not in self.mix:
                raise ValueError(f"recipes.{name}.data is {recipe.data}, but mix.{recipe.data} is not there")
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
    def _seeds_differ(self) -> "Params":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds holds one twice: {self.seeds}")
        return self

    @model_validator(mode="after")
    def _judged_unet_is_trained(self) -> "Params":
        if "unet" in self.evaluate_segmentation.methods and not self.unet.train:
            raise ValueError("evaluate_segmentation.methods names unet, but unet.train is false: set it to true")
        return self


def read_params(path: Path) -> Params:
    """Read, merge and validate the whole file, all profiles of it.

    Raises InputError with one line for each mistake, each with its YAML path.
    """
    try:
        raw = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict) or raw.get("profile") not in PROFILES or not isinstance(raw.get("profiles"), dict):
        raise InputError(f"{path}: profile must be one of {', '.join(PROFILES)}, and profiles must hold their settings")
    sections = {key: value for key, value in raw.items() if key not in ("profile", "profiles")}
    mistakes: dict[str, None] = {}
    for name in raw["profiles"]:
        if name not in PROFILES:
            mistakes[f"profiles.{name}: unknown profile (known: {', '.join(PROFILES)})"] = None
    merged: dict[str, Params] = {}
    for name in PROFILES:
        overrides = raw["profiles"].get(name) or {}
        if not isinstance(overrides, dict):
            mistakes[f"profiles.{name}: {overrides!r} is wrong: it should hold sections"] = None
            overrides = {}
        overrides = _of_known_recipes(overrides, sections)
        mistakes |= dict.fromkeys(_doubly_set(sections, overrides, f"profiles.{name}"))
        try:
            merged[name] = Params.model_validate(_merge(sections, overrides))
        except ValidationError as error:
            mistakes |= dict.fromkeys(_sentence(detail, overrides, name) for detail in error.errors())
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise InputError(f"{path} has {count}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
    return merged[raw["profile"]]


def resolve_settings(params: Params) -> dict[str, Any]:
    """The settings of each stage and item, by the name of its file: only what it uses, so only its changes rerun it."""
    seed = {"seed": params.seed}
    source = params.fetch.source
    encoding = {"jpeg_quality": params.render.jpeg_quality, "images_per_shard": params.render.images_per_shard}
    resolved: dict[str, Any] = {
        "runtime": params.runtime.model_dump(),
        "fetch": params.fetch.model_dump(include={"source", source}) | seed,
        "ingest": params.ingest.model_dump() | {"source": source} | seed,
        "segment": _segmenters(params, {params.segment.method}) | {"method": params.segment.method} | seed,
        "train_unet": {"unet": params.unet.model_dump(exclude={"train"}) if params.unet.train else None} | seed,
        "render": params.render.model_dump() | seed,
        "challenge": params.challenge.model_dump() | seed,
        "saliency": params.saliency.model_dump() | seed,
        "report": {"mix": list(params.mix), "source": source} | seed,
        "flow": {"recipes": [name for name, recipe in params.recipes.items() if recipe.flow is not None]} | seed,
    }
    resolved |= {f"weights-{name}": {"wanted": name in _wanted_weights(params)} for name in WEIGHTS}
    resolved |= _segmentation_settings(params)
    for method, mix in params.mix.items():
        resolved[f"mix-{method}"] = {"mix": mix.model_dump()} | encoding | seed
    resolved["in9l"] = _in9l(params)
    seeds = {"seeds": params.seeds}
    resolved["digits"] = {"digits": params.digits.model_dump()} | seed | seeds
    resolved["init"] = params.train.model_dump(include={"arch", "weights", "size"}) | seeds
    recipes = {name: _training(name, recipe, params) for name, recipe in params.recipes.items()}
    resolved |= {f"train-{name}": recipe | seeds for name, recipe in recipes.items()}
    resolved["report"] |= {"recipes": recipes} | seeds
    return resolved


def _in9l(params: Params) -> dict[str, Any] | None:
    """The settings of the in9l stage; None where no recipe trains on that set."""
    if all(recipe.data != "in9l" for recipe in params.recipes.values()):
        return None
    sifting = params.ingest.model_dump(include={"exclude_ids", "max_unreadable"})
    looks = params.render.model_dump(include={"resize", "size", "jpeg_quality", "images_per_shard"})
    return {"source": params.fetch.source} | sifting | looks


def _training(name: str, recipe: RecipeSettings, params: Params) -> dict[str, Any]:
    """The settings of one recipe: its own where it has them, else those of `train`; p as a number."""
    resolved: dict[str, Any] = {"name": name} | recipe.model_dump(exclude={"train"})
    if recipe.background is not None and recipe.background.p == "train.p":
        resolved["background"]["p"] = params.train.p
    own = recipe.train.model_dump(exclude_none=True)
    return {"recipe": resolved, "train": params.train.model_dump(exclude={"weights", "p"}) | own}


def _segmentation_settings(params: Params) -> dict[str, Any]:
    """The settings of `fetch_segmentation` and `evaluate_segmentation`, by set."""
    judging, seed = params.evaluate_segmentation, {"seed": params.seed}
    resolved: dict[str, Any] = {}
    for name, source in (judging.sources.model_dump() | {"photos": "ingest"}).items():
        judged = {"source": source, "samples": judging.samples, "methods": judging.methods}
        sections = _segmenters(params, set(judging.methods))
        resolved[f"evaluate_segmentation-{name}"] = judged | {"segment": sections} | seed
        drawn = params.fetch.synthetic.model_dump(include={"size", "difficulty"})
        scenes = {"images": judging.synthetic_images} | drawn if source == "synthetic" else {}
        if name in SEGMENTATION_SETS:
            resolved[f"fetch-{name}"] = {"source": source, "scenes": scenes} | seed
    return resolved


def _segmenters(params: Params, methods: set[Method]) -> dict[str, Any]:
    """`segment` with the sections that these methods read."""
    sections = {section for method in methods for section in SECTIONS[method]}
    return params.segment.model_dump(include=sections | {"clean", "quality"})


def _wanted_weights(params: Params) -> set[str]:
    """The sources of weights that the methods in use need."""
    # The judged ones even where all public sets are left out: they meet the masks that came with the photos.
    methods = {params.segment.method, *params.evaluate_segmentation.methods}
    wanted: set[str] = {params.segment.sam.model} if methods & {"grounded_sam", "sam_boxes"} else set()
    if "grounded_sam" in methods:
        wanted |= {params.segment.grounding_dino.model, BERT}
    return wanted


def _of_known_recipes(overrides: Mapping[str, Any], sections: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what a profile sets of recipes that are not there, so that a recipe can be taken out in one place."""
    recipes, known = overrides.get("recipes"), sections.get("recipes")
    if not isinstance(recipes, dict) or not isinstance(known, dict):
        return overrides
    return {**overrides, "recipes": {name: recipe for name, recipe in recipes.items() if name in known}}


def _merge(sections: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(sections)
    for key, value in overrides.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _doubly_set(sections: Any, overrides: Any, path: str) -> Iterator[str]:
    for key, value in overrides.items():
        if key not in sections:
            continue
        if isinstance(value, dict) and isinstance(sections[key], dict):
            yield from _doubly_set(sections[key], value, f"{path}.{key}")
        else:
            place = f"{path}.{key}".split(".", 2)[2]
            yield f"{path}.{key}: also set as {place}; keep one (in the profile where the profiles differ)"


def _sentence(detail: ErrorDetails, overrides: Mapping[str, Any], profile: str) -> str:
    keys = [str(key) for key in detail["loc"] if key not in ("[key]", "int", "literal['auto']")]
    value: Any = overrides
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    in_profile = value is not None
    path = ".".join([*(["profiles", profile] if in_profile else []), *keys]) or "params.yaml"
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _known_keys(), n=1)
        return f"{path}: unknown key" + (f" (did you mean {near[0]}?)" if near else "")
    if detail["type"] == "missing":
        return f"{path}: missing (set it there, or in profiles.{profile})"
    if detail["type"] == "value_error":
        return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
    return f"{path}: {detail['input']!r} is wrong: {re.sub('^Input', 'it', detail['msg'])}"


def _known_keys() -> set[str]:
    known: set[str] = set()
    models = [Settings]
    for model in models:
        known |= model.model_fields.keys()
        models += model.__subclasses__()
    return known
