"""Heads: what turns a backbone's features into logits, at the end of a network."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from bgdata.errors import InputError
from models.flow.network import FlowHead


class MlpHead(nn.Sequential):
    """A head with one hidden layer.

    Source: BichraiX's head (2048-512-ReLU-Dropout(.5)-9).
    """

    def __init__(self, features: int, classes: int, *, hidden: int, dropout: float) -> None:
        super().__init__(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))


def find_head(network: nn.Module) -> str:
    """The name of the head: one that `replace_head` put there, else the last layer with outputs; "" for none."""
    kinds = (MlpHead | FlowHead, nn.Linear | nn.Conv2d)
    found = ([name for name, module in network.named_modules() if isinstance(module, kind)] for kind in kinds)
    return next((names[-1] for names in found if names), "")


def head_keys(network: nn.Module) -> set[str]:
    """The names of the head's parameters, all layers of one of ours: what is trained where the backbone is frozen."""
    head = find_head(network)
    return {f"{head}.{key}" for key, _ in network.get_submodule(head).named_parameters()}


def replace_head(network: nn.Module, head: Mapping[str, Any], *, classes: int) -> None:
    """Put a new head, drawn by the global generator, in the place of the network's own.

    `head` holds its `kind` and the settings of that kind.

    Raises InputError where the network's own is not linear.
    """
    name = find_head(network)
    first = next((module for module in network.get_submodule(name).modules() if isinstance(module, nn.Linear)), None)
    if not name or first is None:
        raise InputError(f"{type(network).__name__} has no linear head that could be replaced: leave out head")
    settings = {key: value for key, value in head.items() if key != "kind" and value is not None}
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, _HEADS[head["kind"]](first.in_features, classes, **settings))


_HEADS: dict[str, Callable[..., nn.Module]] = {"linear": nn.Linear, "mlp": MlpHead, "flow": FlowHead}
