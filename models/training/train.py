"""One training of a recipe: from the weights that it starts with to those that it ends with."""

import sys
from typing import Any

from tqdm import tqdm

from models.classifiers.classifier import Classifier
from models.flow.train import fit_flow
from models.training.loop import fit
from models.training.recipes import open_recipe, open_validation
from models.training.run import Run, Stored
from models.training.settings import LoopSettings, NamedRecipe
from models.training.tuning import count_parameters, merge_adapters, prepare_classifier


def train_recipe(
    classifier: Classifier,
    recipe: NamedRecipe,
    settings: LoopSettings,
    run: Run,
    stored: Stored,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Train a classifier in place; returns the history, one row an epoch, and the counts of its parameters.

    Raises InputError where the data or the parts of the recipe do not fit.
    """
    if recipe.flow is not None:
        return fit_flow(classifier, recipe, settings, run, stored)
    prepare_classifier(classifier, recipe, seed=run.seed)
    parameters = count_parameters(classifier)
    tqdm.write(f"{recipe.name} trains {_in_words(parameters)}", file=sys.stderr)
    opened = open_recipe(recipe, settings, stored, seed=run.seed)
    validation = open_validation(stored, size=settings.size)
    history = fit(classifier, opened, settings, run, validation=validation, label=recipe.name)
    merge_adapters(classifier)
    return history, parameters


def _in_words(parameters: dict[str, int]) -> str:
    return "{trained:,} of {all:,} parameters (adapters {adapters:,}, head {head:,})".format(**parameters)
