"""One training of a recipe: from the weights that it starts with to those that it ends with."""

import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from models.classifiers import Classifier
from models.flow.train import fit_flow
from models.training.loop import fit
from models.training.recipes import open_recipe, open_validation
from models.training.settings import LoopSettings, NamedRecipe
from models.training.tuning import count_parameters, merge_adapters, prepare_classifier


def train_recipe(
    classifier: Classifier,
    recipe: NamedRecipe,
    settings: LoopSettings,
    sets: Path,
    *,
    seed: int,
    device: torch.device,
    precision: torch.dtype,
    folder: Path,
    pixels: Path,
    workers: int,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Train a classifier in place; returns the history, one row an epoch, and the counts of its parameters.

    `folder` keeps the state of a killed training, `pixels` the decoded sets.

    Raises InputError where the data or the parts of the recipe do not fit.
    """
    if recipe.flow is not None:
        return fit_flow(
            classifier,
            recipe,
            settings,
            sets,
            seed=seed,
            device=device,
            precision=precision,
            folder=folder,
            pixels=pixels,
            workers=workers,
        )
    prepare_classifier(classifier, recipe, seed=seed)
    parameters = count_parameters(classifier)
    tqdm.write(f"{recipe.name} trains {_in_words(parameters)}", file=sys.stderr)
    opened = open_recipe(recipe, sets, settings=settings, seed=seed, folder=pixels, workers=workers)
    history = fit(
        classifier,
        opened,
        settings,
        validation=open_validation(sets, size=settings.size, folder=pixels / "val", workers=workers),
        seed=seed,
        device=device,
        precision=precision,
        folder=folder,
        label=recipe.name,
    )
    merge_adapters(classifier)
    return history, parameters


def _in_words(parameters: dict[str, int]) -> str:
    return "{trained:,} of {all:,} parameters (adapters {adapters:,}, head {head:,})".format(**parameters)
