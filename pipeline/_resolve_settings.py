"""From the whole of params.yaml to what each stage and item reads of it."""

from pathlib import Path
from typing import Any

from bgdata.class_files import FOLDERS, list_class_folders, read_class_csv
from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.labels import IN9
from models.segmenters.settings import SECTIONS, Method
from models.training.settings import RecipeSettings, named_classes, reads_backgrounds
from pipeline._transfer_settings import judged_transfers, transfer_settings
from pipeline.params import BERT, SEGMENTATION_SETS, WEIGHTS, Params


def resolve_settings(params: Params) -> dict[str, Any]:
    """The settings of each stage and item, by the name of its file: only what it uses, so only its changes rerun it."""
    seed = {"seed": params.seed}
    source = params.fetch.source
    class_list = _class_list(params)
    _check_named_classes(params, class_list)
    classes = {"classes": class_list.to_record()}
    encoding = {"jpeg_quality": params.render.jpeg_quality, "images_per_shard": params.render.images_per_shard}
    judged = {"recipes": list(params.recipes)}
    resolved: dict[str, Any] = {
        "runtime": params.runtime.model_dump(),
        "fetch": params.fetch.model_dump(include={"source", source}) | classes | seed,
        "ingest": params.ingest.model_dump() | {"source": source} | classes | seed,
        "segment": _segmenters(params, {params.segment.method})
        | _choice(params)
        | {"method": params.segment.method}
        | seed,
        "train_unet": {"unet": params.unet.model_dump(exclude={"train"}) if params.unet.train else None} | seed,
        "render": params.render.model_dump() | seed,
        "evaluate": params.evaluate.model_dump() | judged | seed,
        "challenge": params.challenge.model_dump() | judged | seed,
        "leak": _leak(params) | seed,
        "saliency": params.saliency.model_dump() | judged | seed,
        "corrupt": params.corruptions.model_dump() | {"images_per_shard": params.render.images_per_shard} | seed,
        "corruptions": judged,
        "report": {"mix": list(params.mix), "source": source, "corruptions": bool(params.corruptions.names)}
        | {"transfer": judged_transfers(params.transfer)}
        | {"correlated": {name: each.model_dump() for name, each in params.correlated.items()}}
        | seed,
        "flow": {"recipes": {name: each.background_from for name, each in params.recipes.items() if each.flow}} | seed,
    }
    wanted = _wanted_weights(params)
    resolved |= {f"weights-{group}": {"wanted": [*filter(wanted.__contains__, of)]} for group, of in WEIGHTS.items()}
    resolved |= _segmentation_settings(params)
    resolved |= transfer_settings(params.transfer, seed=params.seed)
    for name, backgrounds in params.backgrounds.items():
        looks = params.render.model_dump(exclude={"per_class"})
        resolved[f"backgrounds-{name}"] = {"source": backgrounds.model_dump(), "render": looks} | seed
    for name, correlated in params.correlated.items():
        resolved[f"correlate-{name}"] = {"correlated": correlated.model_dump()} | encoding | seed
    for method, mix in params.mix.items():
        resolved[f"mix-{method}"] = {"mix": mix.model_dump()} | encoding | seed
    resolved["in9l"] = _in9l(params, classes | seed)
    seeds = {"seeds": params.seeds}
    resolved["digits"] = {"digits": params.digits.model_dump()} | seed | seeds
    resolved["init"] = params.train.model_dump(include={"arch", "weights", "size"}) | classes | seeds
    recipes = {name: _training(name, recipe, params) for name, recipe in params.recipes.items()}
    resolved |= {f"train-{name}": recipe | seeds for name, recipe in recipes.items()}
    resolved["report"] |= {"recipes": recipes} | seeds
    resolved["recipe_backgrounds"] = {
        "recipes": {
            name: recipe.background_from if reads_backgrounds(recipe) else None
            for name, recipe in params.recipes.items()
        }
    }
    return resolved


def _check_named_classes(params: Params, classes: ClassList) -> None:
    """Raise InputError with a line for each class that a recipe or a source names and the list does not have."""
    named = {f"recipes.{name}.background": named_classes(recipe) for name, recipe in params.recipes.items()}
    for name, source in params.backgrounds.items():
        named[f"backgrounds.{name}.classes"] = [*((source.kind == "external" and source.classes) or ())]
    for name, correlated in params.correlated.items():
        partners = correlated.partners or {}
        named[f"correlated.{name}.partners"] = list(dict.fromkeys([*partners, *partners.values()]))
    mistakes = [
        f"  {place}: {unknown!r} is none of the classes {classes.describe()}"
        for place, found in named.items()
        for unknown in found
        if unknown not in classes.names
    ]
    if mistakes:
        raise InputError("params.yaml names classes that are not there:\n" + "\n".join(mistakes))


def _class_list(params: Params) -> ClassList:
    if params.classes == IN9.name:
        return IN9
    if params.classes != FOLDERS and not Path(params.classes).is_file():
        raise InputError(
            f"params.yaml: classes is {params.classes!r}, and there is no such file: expected {IN9.name}, {FOLDERS}, "
            "or a CSV with the columns class,wnid"
        )
    if params.classes != FOLDERS:
        return read_class_csv(Path(params.classes))
    if params.fetch.source in PUBLIC_LISTS:
        return PUBLIC_LISTS[params.fetch.source]
    if params.fetch.source != "folder" or params.runtime.folder is None:
        raise InputError(
            f"params.yaml: classes: folders needs fetch.source: folder with runtime.folder (the tree itself), "
            f"or one of {', '.join(PUBLIC_LISTS)}"
        )
    return list_class_folders(Path(params.runtime.folder))


def _leak(params: Params) -> dict[str, Any]:
    """The settings of the leak stage: all sources, and the segmenter that looks for what they left."""
    method: Any = params.leak.segmenter or params.segment.method
    sections = _segmenters(params, {method}) | {"method": method}
    sources = {name: source.model_dump() for name, source in params.backgrounds.items()}
    return {
        "per_class": params.leak.per_class,
        "segment": sections,
        "sources": sources,
        "recipes": list(params.recipes),
    }


def _in9l(params: Params, further: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of the in9l stage; None where no recipe trains on that set."""
    if all(recipe.data != "in9l" for recipe in params.recipes.values()):
        return None
    sifting = params.ingest.model_dump(include={"exclude_ids", "max_unreadable", "val_share"})
    looks = params.render.model_dump(include={"resize", "size", "jpeg_quality", "images_per_shard"})
    return {"source": params.fetch.source} | sifting | looks | further


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
        limit = {"max_unusable": judging.max_unusable} if name in SEGMENTATION_SETS else {}
        resolved[f"evaluate_segmentation-{name}"] = judged | {"segment": sections} | limit | seed
        drawn = params.fetch.synthetic.model_dump(include={"size", "difficulty"})
        scenes = {"images": judging.synthetic_images} | drawn if source == "synthetic" else {}
        if name in SEGMENTATION_SETS:
            resolved[f"fetch-{name}"] = {"source": source, "scenes": scenes} | seed
    return resolved


def _segmenters(params: Params, methods: set[Method]) -> dict[str, Any]:
    """`segment` with the sections that these methods read."""
    sections = {section for method in methods for section in SECTIONS[method]}
    return params.segment.model_dump(include=sections | {"clean", "quality"})


def _choice(params: Params) -> dict[str, Any]:
    """`segment.choose`, where it is not the method's own choice that counts."""
    return {"choose": params.segment.choose.model_dump()} if params.segment.choose.by == "leak" else {}


def _wanted_weights(params: Params) -> set[str]:
    """The sources of weights that the methods in use need."""
    # The judged ones even where all public sets are left out: they meet the masks that came with the photos.
    methods = {params.segment.method, params.leak.segmenter, *params.evaluate_segmentation.methods}
    wanted: set[str] = {params.segment.sam.model} if methods & {"grounded_sam", "sam_boxes"} else set()
    if "grounded_sam" in methods:
        wanted |= {params.segment.grounding_dino.model, BERT}
    if "sam3" in methods:
        wanted.add(params.segment.sam3.model)
    lama = [each for each in params.backgrounds.values() if each.kind == "filled" and each.method == "lama"]
    return wanted | ({"big_lama"} if any(each.weights is None for each in lama) else set())
