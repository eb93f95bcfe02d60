"""Heads: what turns a backbone's features into logits, in place of a network's last layer."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from models.flow.network import FlowHead


def replace_head(network: nn.Module, head: Mapping[str, Any], *, classes: int) -> None:
    """Put a new head, drawn by the global generator, in the place of the network's last linear layer.

    `head` holds its `kind` and the settings of that kind.

    Raises ValueError where the last layer is not linear.
    """
    name, last = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    settings = {key: value for key, value in head.items() if key != "kind" and value is not None}
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, _HEADS[head["kind"]](last.in_features, classes, **settings))


def _linear(features: int, classes: int) -> nn.Module:
    return nn.Linear(features, classes)


def _mlp(features: int, classes: int, *, hidden: int, dropout: float) -> nn.Module:
    """Source: BichraiX's head (2048-512-ReLU-Dropout(.5)-9)."""
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))


_HEADS: dict[str, Callable[..., nn.Module]] = {"linear": _linear, "mlp": _mlp, "flow": FlowHead}
