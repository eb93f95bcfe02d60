"""Settings of the biased digits."""

from typing import Literal

from pydantic import Field

from bgdata.settings import Settings


class PenaltyWeights(Settings):
    """`digits.weights.<set>`: the weight of each penalty (see `recipes.<name>.penalty`)."""

    absolute: float = Field(gt=0)
    proportional: float = Field(gt=0)


class BiasWeights(Settings):
    """`digits.weights`."""

    one_pixel: PenaltyWeights
    coloured: PenaltyWeights
    coloured_gap: PenaltyWeights


class DigitsSettings(Settings):
    """`digits`."""

    source: Literal["embedded", "mnist"] = Field(description="scikit-learn's 1,797 digits, or MNIST by network")
    noise: float = Field(ge=0, le=1, description="of a coloured background: standard deviation, 1 is black to white")
    gap: int = Field(ge=1, description="coloured_gap: pixels around the digit that stay black")
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    lr: float = Field(gt=0, description="Adam's")
    weights: BiasWeights


class DigitsJob(Settings):
    """What the digits stage reads: `seed` is of the sets, `seeds` of the trainings."""

    digits: DigitsSettings
    seed: int
    seeds: list[int]
