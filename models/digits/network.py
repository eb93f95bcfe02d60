"""The digits' network."""

import torch
from torch import nn

from bgdata.digits.plain import CLASSES, SIDE
from models.classifiers.classifier import Classifier

_WIDTHS = (16, 32)
_HIDDEN = 128


def build_digit_classifier(*, seed: int) -> Classifier:
    """Two convolutions and two linear layers, drawn by `seed`; no batch norm, so that a gradient is of one image.

    The last map is flattened, not averaged: where a pixel is lit can be told.
    """
    first, second = _WIDTHS
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, first, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * (SIDE // 4) ** 2, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, CLASSES),
        )
    return Classifier(network, arch="digits", classes=CLASSES, input_size=SIDE).to(memory_format=torch.channels_last)
