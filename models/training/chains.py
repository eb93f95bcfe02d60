"""Images mixed with what chains of random operations make of them: the frame of AugMix and of PRIME."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Generator, Tensor

# Images in [0, 1] to changed ones in [0, 1]; each image gets draws of its own, all of them from a CPU generator. Those
# that move pixels want squares.
Operation = Callable[[Float32[Tensor, "n 3 h w"], Generator], Float32[Tensor, "n 3 h w"]]


def mix_chains(
    images: Float32[Tensor, "b 3 h w"],
    generator: Generator,
    *,
    operations: Sequence[Operation],
    width: int,
    depth: int,
    alpha: float,
) -> Float32[Tensor, "b 3 h w"]:
    """Each image mixed with `width` copies of it, which went through 1 to `depth` random operations each.

    The copies' weights are of Dirichlet(alpha), the share of all copies together is of Beta(alpha, alpha). Without
    operations, or of width 0, images stay as they are. `generator` is a CPU generator: the choices are the same on
    every device.
    Source: AugMix (Hendrycks et al. 2020, algorithm 1). A depth of -1 in its program is 3 here.
    """
    if not operations or width == 0:
        return images
    weights, kept = _draw_weights(len(images), width, alpha, generator)
    mixed = kept.to(images.device) * images
    for weight in weights.to(images.device):
        mixed.addcmul_(weight, _chained(images, generator, operations, depth=depth))
    return mixed.clamp_(0, 1)  # the weights sum to 1 but for rounding


def _chained(
    images: Float32[Tensor, "b 3 h w"], generator: Generator, operations: Sequence[Operation], *, depth: int
) -> Float32[Tensor, "b 3 h w"]:
    """Each image after a chain of its own."""
    chained = images.clone()
    lengths = torch.randint(1, depth + 1, (len(images),), generator=generator)
    for step in range(depth):
        chosen = torch.randint(len(operations), lengths.shape, generator=generator)
        for number, operation in enumerate(operations):
            (places,) = torch.nonzero((chosen == number) & (lengths > step), as_tuple=True)
            if len(places):
                there = places.to(images.device)
                chained[there] = operation(chained[there], generator)
    return chained


def _draw_weights(
    count: int, width: int, alpha: float, generator: Generator
) -> tuple[Float32[Tensor, "w {count} 1 1 1"], Float32[Tensor, "{count} 1 1 1"]]:
    """The weights of the copies and that of the image itself, by image; they sum to 1."""
    draws = np.random.default_rng(int(torch.randint(2**63 - 1, (), generator=generator)))
    share = draws.beta(alpha, alpha, (count, 1, 1, 1))
    weights = share * draws.dirichlet([alpha] * width, count).T[..., None, None, None]
    return torch.from_numpy(weights.astype(np.float32)), torch.from_numpy((1 - share).astype(np.float32))
