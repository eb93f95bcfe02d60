"""The learning rate over a training."""

import math


def learning_rate(step: int, steps: int, *, peak: float, warmup: float) -> float:
    """The rate of a step: linear up to `peak` over the share `warmup` of all steps, then half a cosine down to 0.

    Source: Goyal et al. 2017 (warmup), Loshchilov and Hutter 2017 (cosine, no restart).
    """
    rising = warmup * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
