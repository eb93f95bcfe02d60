"""What of a backbone is trained under a new task: nothing, nothing but what batch norms measure, or all of it."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from models.transfer.backbones import FeatureNetwork
from models.transfer.settings import Mode

_Network = TypeVar("_Network", bound=FeatureNetwork)


def fixed_feature(backbone: _Network) -> _Network:
    """The backbone frozen: its weights, and its running statistics and dropout too, whatever mode the whole is in.

    Source: Yamada and Otani 2022, whose detectors do so (`norm_eval`), and whose segmenters do not.
    """
    backbone.requires_grad_(False)
    backbone.keep_as_it_is()
    return backbone


def fixed_weights(backbone: _Network) -> _Network:
    """The backbone's weights frozen; in training mode batch norms measure the new images, and dropout drops.

    Source: Yamada and Otani 2022, what their "fixed feature" segmenters do (a rate of 0, `norm_eval=False`).
    """
    backbone.requires_grad_(False)
    backbone.keep_as_it_is(False)
    return backbone


def full_network(backbone: _Network) -> _Network:
    """The backbone trained as the rest is."""
    backbone.requires_grad_(True)
    backbone.keep_as_it_is(False)
    return backbone


MODES: dict[Mode, Callable[[FeatureNetwork], FeatureNetwork]] = {
    "fixed_feature": fixed_feature,
    "fixed_weights": fixed_weights,
    "full_network": full_network,
}


def trained_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """What an optimizer is given: the parameters that are trained, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
