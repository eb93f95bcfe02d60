"""The recipes' checkpoints under corruptions: which files stay as they are, and the others judged in one go."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bgdata.corrupt.opening import open_corrupted
from bgdata.sources import open_sources
from models.evaluation.corruptions import brief_score, corruption_score, judge_corruptions
from models.evaluation.sensitivity import SETS_READ
from pipeline._recipes import SPLIT, read_finished, read_judged, running_stage
from pipeline._stage import CORRUPTED, RUNS, SETS, pixel_cache, run_checkpoints, runtime
from pipeline._workspace import fingerprint

# By recipe: the checkpoints of its seeds, each by a name of its own.
Checkpoints = Mapping[str, Mapping[str, Path]]


def recipe_checkpoints(recipes: Iterable[str]) -> dict[str, dict[str, Path]]:
    """The checkpoints of recipes, in the order of their seeds."""
    return {
        recipe: {f"{recipe}-{number}": path for number, path in enumerate(run_checkpoints(RUNS / recipe))}
        for recipe in recipes
    }


def score_recipes(checkpoints: Checkpoints, *, finished: Path, work: Path) -> dict[str, dict[str, Any]]:
    """Each recipe's score: the first seed's whole, and of each seed (`seeds`) the numbers.

    A score that lies in `finished` and is of the same checkpoints, data and code is taken from there; the recipes
    without one are judged together, and `work` keeps what is judged.

    Raises InputError where a checkpoint is missing, or is of another list of classes than the photos.
    """
    sources = open_sources(SETS, SETS_READ)
    originals, masks = (sources[name] for name in SETS_READ)
    data = open_corrupted(
        CORRUPTED, originals=originals, masks=masks, cache=pixel_cache(), workers=runtime()["workers"]
    )
    stamps = {recipe: fingerprint("corruptions", data.digest, paths) for recipe, paths in checkpoints.items()}
    scores = {recipe: read_finished(finished / f"{recipe}.json", stamp) for recipe, stamp in stamps.items()}
    models, origins = {}, {}
    for recipe in (recipe for recipe, score in scores.items() if score is None):
        for name, path in checkpoints[recipe].items():
            models[name], origins[name] = read_judged(path, {"original": originals})
    # Named by their hashes as well: what is kept under a name is of one network.
    hashed = {name: f"{name}-{origin['checkpoint_sha256'][:12]}" for name, origin in origins.items()}
    judged = judge_corruptions({hashed[name]: models[name] for name in models}, data, work, **running_stage())
    for recipe, score in scores.items():
        if score is None:
            of_seeds = {name: corruption_score(judged[hashed[name]], data) for name in checkpoints[recipe]}
            first = next(iter(of_seeds))
            scores[recipe] = {
                "recipe": recipe,
                **origins[first],
                "split": SPLIT,
                "fingerprint": stamps[recipe],
                **of_seeds[first],
                "seeds": [origins[name] | brief_score(each) for name, each in of_seeds.items()],
            }
    return {recipe: score for recipe, score in scores.items() if score is not None}
