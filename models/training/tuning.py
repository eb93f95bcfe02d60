"""Which weights of a classifier a recipe trains: a new head, a frozen backbone, adapters."""

import torch

from models.adapters.layers import find_layers
from models.adapters.lora import add_lora, is_lora_name, merge_lora
from models.adapters.oft import add_oft, is_oft_name, merge_oft
from models.classifiers.classifier import Classifier
from models.training.settings import AdapterSettings, RecipeSettings


def prepare_classifier(classifier: Classifier, recipe: RecipeSettings, *, seed: int) -> None:
    """Give the classifier its new head and adapters, and freeze what is not trained; `seed` draws what is new.

    The head is trained always; a classifier that came with an MLP keeps it where the recipe names no head.

    Raises InputError where the head or the adapters do not fit the network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.head is not None:
            classifier.replace_head(recipe.head.model_dump())
        if recipe.tuned == "head":
            classifier.requires_grad_(False)
        if recipe.adapter is not None:
            _add_adapter(classifier, recipe.adapter)
    for name in classifier.head_names:
        classifier.get_parameter(name).requires_grad_()


def merge_adapters(classifier: Classifier) -> None:
    """Fold adapters into the layers that they adapt: the network has its plain layers again."""
    merge_lora(classifier.network)
    merge_oft(classifier.network)


def count_parameters(classifier: Classifier) -> dict[str, int]:
    """How many parameters a prepared classifier has: `all`, `trained`, and those of its `adapters` and its `head`."""
    sizes = {name: parameter.numel() for name, parameter in classifier.named_parameters()}
    return {
        "all": sum(sizes.values()),
        "trained": sum(value.numel() for value in classifier.parameters() if value.requires_grad),
        "adapters": sum(size for name, size in sizes.items() if is_lora_name(name) or is_oft_name(name)),
        "head": sum(sizes[name] for name in classifier.head_names),
    }


def _add_adapter(classifier: Classifier, adapter: AdapterSettings) -> None:
    layers = find_layers(classifier.network, adapter.layers)
    if adapter.kind == "lora":
        assert adapter.rank is not None and adapter.alpha is not None, "the settings check it"
        add_lora(classifier.network, layers, rank=adapter.rank, alpha=adapter.alpha, size=classifier.input_size)
    else:
        assert adapter.block is not None, "the settings check it"
        add_oft(classifier.network, layers, block=adapter.block)
