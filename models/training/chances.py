"""How often the background of an image is changed: a fixed probability of its class, or one that is measured."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from bgdata.classes import ClassList
from bgdata.compose.background_classes import UNKNOWN
from bgdata.errors import InputError
from bgdata.randomness import seeded_order
from models.training.data import Backgrounds, label_of
from models.training.parts import Part, Predict

# The share of a class's backgrounds that is classified after each epoch.
_SAMPLED = 0.2


class Chance(Part):
    """The probability of each class, `by_class`: float64, on the CPU, as the draws are."""

    def __init__(self, by_class: Float64[Tensor, " k"]) -> None:
        super().__init__()
        self.by_class = by_class


class AdaptiveChance(Chance):
    """The probability of a class is the accuracy on a seeded fifth of its backgrounds, measured after each epoch.

    It begins with 0: nothing has been learned from backgrounds yet. It is kept as extra state, not as a buffer, which
    would move to the device: each batch would then wait for the steps before it.
    Source: the adaptive p of the WUST system.
    """

    def __init__(self, backgrounds: Backgrounds, *, seed: int) -> None:
        super().__init__(torch.zeros(len(backgrounds.classes), dtype=torch.float64))
        self.classes = backgrounds.classes
        self.pixels = backgrounds.pixels
        order = np.array(seeded_order(seed, backgrounds.ids, "adaptive p"))
        self.samples = {}
        known = backgrounds.labels[backgrounds.labels != UNKNOWN]
        if not len(known):
            raise InputError(
                f"background.p: adaptive is the accuracy on backgrounds, and {backgrounds.name} knows no classes: "
                "set a number, or take another background_from"
            )
        for label in np.unique(known):
            members = order[backgrounds.labels[order] == label]
            self.samples[int(label)] = np.sort(members[: int(np.ceil(_SAMPLED * len(members)))])

    def after_epoch(self, predict: Predict) -> None:
        """Measure anew, class by class: a fifth of a large set is too much to hold at once."""
        for label, sample in self.samples.items():
            self.by_class[label] = float((predict(self.pixels[sample]) == label).mean())

    def figures(self) -> dict[str, float]:
        """The probability of each class in the epoch to come."""
        return {f"p_{folder}": float(p) for folder, p in zip(self.classes.folders, self.by_class, strict=True)}

    def get_extra_state(self) -> Tensor:
        """For the state of a killed training."""
        return self.by_class.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """From the state of a killed training."""
        self.by_class = state.clone()


def fixed_chance(p: float | dict[str, float], *, classes: ClassList) -> Chance:
    """One probability for all classes, or each its own; 0 for classes that are not named.

    Raises InputError where `p` names a class that is none of `classes`.
    """
    shares = p if isinstance(p, dict) else dict.fromkeys(classes.names, p)
    by_class = torch.zeros(len(classes), dtype=torch.float64)
    for name, share in shares.items():
        by_class[label_of(name, classes, setting="background.p")] = share
    return Chance(by_class)
