"""How good a conditional density is: against a Gaussian, by its samples, and by its latents."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

# Kolmogorov and Smirnov's 5 % point for many observations, times the root of their number.
_KS_LIMIT = 1.358


def gaussian_log_prob(
    fitted: tuple[Float64[Tensor, "n w"], Float64[Tensor, "n w"]],
    given: Float64[Tensor, "m w"],
    moved: Float64[Tensor, "m w"],
    *,
    ridge: float = 1e-3,
) -> Float64[Tensor, " m"]:
    """The log-density (nats) of `moved` under the conditional Gaussian of largest likelihood on `fitted`.

    `fitted` holds (given, moved) pairs of other photos: the mean is linear in what is given, the covariance is that of
    the residuals, with `ridge` added to the variances of both.
    """
    centres = [values.mean(0) for values in fitted]
    before, after = (values - centre for values, centre in zip(fitted, centres, strict=True))
    eye = torch.eye(given.shape[1], dtype=given.dtype)
    slope = torch.linalg.solve(before.T @ before / len(before) + ridge * eye, before.T @ after / len(before))
    residuals = after - before @ slope
    factor = torch.linalg.cholesky(residuals.T @ residuals / len(residuals) + ridge * eye)
    errors = moved - centres[1] - (given - centres[0]) @ slope
    scaled = torch.linalg.solve_triangular(factor, errors.T, upper=False)  # w m
    return -0.5 * (scaled.square().sum(0) + len(eye) * math.log(2 * math.pi)) - factor.diagonal().log().sum()


def two_sample_test(
    first: Float64[Tensor, "n d"], second: Float64[Tensor, "m d"], *, permutations: int, generator: Generator
) -> tuple[float, float]:
    """The squared maximum mean discrepancy of two samples and the share of random splits whose own is as large.

    Gaussian kernel, its width the median distance. Source: Gretton et al. 2012, eq. 5 (biased, so that it is 0 or
    more) with the permutation test; the p-value counts the split as it is among the permutations.
    """
    pooled = torch.cat((first, second))
    distances = torch.cdist(pooled, pooled).square()
    kernel = torch.exp(-distances / distances[distances > 0].median())
    signs = torch.cat((torch.full((len(first),), 1 / len(first)), torch.full((len(second),), -1 / len(second))))
    orders = [torch.arange(len(pooled))] + [
        torch.randperm(len(pooled), generator=generator) for _ in range(permutations)
    ]
    splits = torch.stack([signs[order] for order in orders]).to(kernel)  # permutations+1 n+m
    discrepancies = ((splits @ kernel) * splits).sum(1)
    as_large = discrepancies >= discrepancies[0] * (1 - 1e-9)
    return float(discrepancies[0]), float(as_large.double().mean())


def coverage(latents: Float64[Tensor, "n w"], levels: Sequence[float]) -> list[float]:
    """The share of latents in each of the nested balls that hold `levels` of a standard normal distribution."""
    inside = torch.special.gammainc(
        torch.tensor(latents.shape[1] / 2, dtype=latents.dtype), latents.square().sum(1) / 2
    )
    return [float((inside <= level).double().mean()) for level in levels]


def normality(latents: Float64[Tensor, "n w"]) -> tuple[float, float]:
    """Of the dimensions' Kolmogorov-Smirnov distances to a standard normal: the mean, the share above the 5 % point."""
    count = len(latents)
    heights = torch.special.ndtr(latents.sort(0).values)
    steps = torch.arange(count + 1, dtype=latents.dtype)[:, None] / count
    distances = torch.maximum(steps[1:] - heights, heights - steps[:-1]).amax(0)
    return float(distances.mean()), float((distances > _KS_LIMIT / math.sqrt(count)).double().mean())
