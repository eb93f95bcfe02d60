"""The digits' network."""

import torch
from torch import nn

from bgdata.digits.plain import CLASSES, SIDE
from models.classifiers import Classifier

_WIDTHS = (16, 32, 64)
_HIDDEN = 128


def build_digit_classifier(*, seed: int) -> Classifier:
    """Three convolutions and two linear layers, drawn by `seed`; no batch norm, so that a gradient is of one image.

    The last map is flattened, not averaged: where a pixel is lit can be told.
    """
    side = SIDE // 2 ** len(_WIDTHS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            layer
            for before, width in zip((3, *_WIDTHS), _WIDTHS, strict=False)
            for layer in (nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ]
        network = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(_WIDTHS[-1] * side**2, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, CLASSES),
        )
    return Classifier(network, arch="digits", classes=CLASSES, input_size=SIDE).to(memory_format=torch.channels_last)
