"""Which weights of a classifier a recipe trains: a new head, a frozen backbone, adapters."""

import torch

from models.classifiers import Classifier
from models.training.settings import RecipeSettings
from models.weights import head_keys


def prepare_classifier(classifier: Classifier, recipe: RecipeSettings, *, seed: int) -> None:
    """Give the classifier its new head and adapters, and freeze what is not trained; `seed` draws what is new."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.head is not None:
            classifier.replace_head(recipe.head.model_dump())
    if recipe.tuned == "head":
        trained = {f"network.{key}" for key in head_keys(classifier.network)}
        for name, parameter in classifier.named_parameters():
            parameter.requires_grad_(name in trained)


def merge_adapters(classifier: Classifier) -> None:
    """Fold adapters into the layers that they adapt: the network has its plain layers again."""
