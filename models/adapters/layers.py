"""Which layers of a network are adapted."""

import difflib
import re
from collections.abc import Sequence

import torch
from torch import nn

from bgdata.errors import InputError
from models.classifiers.heads import find_head


def find_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The names of the convolutions and linear layers whose whole name a pattern matches; the head's are left out.

    Raises InputError where a pattern matches none, naming layers with close names.
    """
    head = find_head(network)
    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name != head and not name.startswith(f"{head}.")
    ]
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            plain = pattern.replace("\\", "")
            close = ", ".join(difflib.get_close_matches(plain, names, cutoff=0.0)) or "none at all"
            raise InputError(
                f"adapter.layers: {pattern!r} matches no convolution or linear layer of {type(network).__name__} but "
                f"its head ({head}), which is trained whole: close ones are {close}"
            )
    return [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]


@torch.no_grad()
def uncalled_layers(network: nn.Module, layers: Sequence[str], *, size: int) -> list[str]:
    """Those of the layers that the network does not call on a black image of this side: its code reads their weights.

    Attention layers do so (`nn.MultiheadAttention`, torchvision's Swin).
    """
    called: set[str] = set()
    hooks = [
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: called.add(name)) for name in layers
    ]
    training = network.training
    network.eval()(torch.zeros(1, 3, size, size))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return [name for name in layers if name not in called]
