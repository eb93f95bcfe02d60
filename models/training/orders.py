"""The order in which an epoch shows the images."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int64
from torch import Generator

from bgdata.compose.background_classes import UNKNOWN
from bgdata.errors import InputError
from models.training.data import TrainingData

# Of an epoch's generator: indices into the data.
Order = Callable[[Generator], Int64[np.ndarray, " n"]]


def shuffled(data: TrainingData) -> Order:
    """Each image once."""
    return lambda generator: torch.randperm(len(data.pixels), generator=generator).numpy()


def balanced(data: TrainingData) -> Order:
    """As many images as there are, drawn so that each group of (class, class of the background) is equally likely.

    Groups are those of the images at rest. Source: group-balanced sampling, as in deep feature reweighting (Kirichenko
    et al. 2023), which takes equally many of each group instead.

    Raises InputError where the class of a background is not known.
    """
    if (data.background_labels == UNKNOWN).any():
        raise InputError(
            "balance: groups needs images whose backgrounds are of a known class, and mixup and cutmix sets have none: "
            "set data to original or a mixed_* variant, or balance to none"
        )
    groups = np.stack((data.labels, data.background_labels))
    _, group, counts = np.unique(groups, axis=1, return_inverse=True, return_counts=True)
    weights = torch.from_numpy(1 / counts[group.ravel()])
    return lambda generator: torch.multinomial(weights, len(weights), replacement=True, generator=generator).numpy()
