"""PRIME: random colours, filters and warps of maximal entropy, for chains of operations (see `chains`).

Source: Modas et al. 2022, and the settings of their program. What differs from it: every image has draws of its own,
also of cuts and temperatures (there a batch shares them); a filter's delta is in its middle (there in a corner); images
are in [0, 1] and normalised later, by the network (the program does so too, but users have put it behind the
normalisation, where the clamps and the sines mean something else).
"""

import math
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, Int64
from torch import Generator, Tensor

from models.training.chains import Operation
from models.training.settings import AugmentSettings

# Colours are looked up in tables of so many steps: 64 to a grey level, 65 to the shortest wave of the program's.
_COLOURS = 2**14
# No warp has a smaller cut: the range of temperatures wants its logarithm.
_LEAST_CUT = 2


def prime_operations(settings: AugmentSettings) -> list[Operation]:
    """The operations that the settings name."""
    operations: list[Operation] = []
    if settings.warp is not None:
        operations.append(partial(warp, cut=settings.warp.cut, temperature=settings.warp.temperature))
    if settings.colour is not None:
        colour = settings.colour
        operations.append(
            partial(change_colours, cut=colour.cut, temperature=colour.temperature, bandwidth=colour.bandwidth)
        )
    if settings.filter is not None:
        operations.append(partial(filter_randomly, side=settings.filter.side, sigma=settings.filter.sigma))
    return operations


def change_colours(
    images: Float32[Tensor, "n 3 s s"], generator: Generator, *, cut: int, temperature: float, bandwidth: int
) -> Float32[Tensor, "n 3 s s"]:
    """Add a random smooth function of its value to each value of a channel, and clamp to [0, 1].

    The function is a sum of sin(pi k x) over up to `bandwidth` successive k, no larger than a largest one that is drawn
    from 1 to `cut`; their coefficients are normal, of a variance that is drawn from 0 to `temperature`. With
    temperature 0 images stay as they are. Black and white stay black and white.
    """
    count, device = len(images), images.device
    draws = torch.rand(3, count, generator=generator, dtype=torch.float64)
    largest = 1 + (draws[0] * cut).long()
    first = 1 + (draws[1] * largest).long()
    waves = first[:, None] + torch.arange(bandwidth)  # n bandwidth
    spread = (temperature * draws[2]).sqrt()[:, None, None] * (waves <= largest[:, None])[:, None]
    coefficients = torch.randn(count, 3, bandwidth, generator=generator) * spread.float()
    tables = _sine_series(coefficients.to(device), waves.clamp(max=_COLOURS - 1).to(device))
    places = (images * _COLOURS).round_().long().flatten(2)
    return images.add(tables.gather(2, places).view(images.shape)).clamp_(0, 1)


def _sine_series(
    coefficients: Float32[Tensor, "n 3 k"], waves: Int64[Tensor, "n k"]
) -> Float32[Tensor, "n 3 {_COLOURS}+1"]:
    """The sums of coefficients * sin(pi * wave * x) at x = 0, 1 / steps, ... 1: an inverse Fourier transform."""
    spectrum = torch.zeros(*coefficients.shape[:2], _COLOURS + 1, dtype=torch.complex64, device=coefficients.device)
    spectrum.imag.scatter_add_(2, waves[:, None].expand(coefficients.shape), -coefficients)
    return torch.fft.irfft(spectrum, 2 * _COLOURS)[..., : _COLOURS + 1] * _COLOURS


def filter_randomly(
    images: Float32[Tensor, "n 3 s s"], generator: Generator, *, side: int, sigma: float
) -> Float32[Tensor, "n 3 s s"]:
    """Convolve each image with a random kernel, the same for its channels, and clamp to [0, 1].

    The kernel is a delta and normal noise, of a standard deviation that is drawn from 0 to `sigma`; outside an image
    all is black. With sigma 0 images stay as they are.
    """
    count = len(images)
    spread = sigma * torch.rand(count, 1, 1, 1, generator=generator)
    kernels = spread * torch.randn(count, 1, side, side, generator=generator)
    kernels[:, :, side // 2, side // 2] += 1
    filtered = F.conv2d(images.transpose(0, 1), kernels.to(images.device), padding=side // 2, groups=count)
    return filtered.transpose(0, 1).clamp(0, 1)


def warp(
    images: Float32[Tensor, "n 3 s s"], generator: Generator, *, cut: int, temperature: float
) -> Float32[Tensor, "n 3 s s"]:
    """Move each pixel by a random smooth field that is 0 at the border, bilinearly.

    Both components are sums of sin(i pi x) sin(j pi y) over i^2 + j^2 < (c + 1/2)^2, with normal coefficients over
    (i^2 + j^2)^(1/2). c is drawn from 2 to a largest one, which is drawn from 3 to `cut`; modes that are finer than the
    pixels are left out. The variance is drawn from that of a typical displacement of half a pixel to the largest
    without folds (where the cut is so high that this is less, it is half a pixel), times `temperature`. With
    temperature 0 images stay as they are.
    Source: diffeomorphisms of maximal entropy (Petrini et al. 2021), of which PRIME takes both ranges.
    """
    count, size, device = len(images), images.shape[-1], images.device
    draws = torch.rand(3, count, generator=generator, dtype=torch.float64)
    largest = _LEAST_CUT + 1 + (draws[0] * (cut - _LEAST_CUT)).long()
    cuts = _LEAST_CUT + (_arcsine(draws[1]) * (largest - _LEAST_CUT + 1)).long().clamp(max=cut - _LEAST_CUT)
    low, high = temperature_range(size, cuts)
    chosen = temperature * (low + _arcsine(draws[2]) * (high - low))
    modes = min(int(cuts.max()), size - 1)
    coefficients = torch.randn(count, 2, modes, modes, generator=generator)
    fields = _fields(coefficients.to(device), cuts.to(device), size=size)
    moved = (
        fields * chosen.sqrt().float().to(device)[:, None, None, None] * (2 * size / (size - 1))
    )  # an image: -1 to 1
    places = torch.linspace(-1, 1, size, device=device)
    x, y = places - moved[:, 0], places[:, None] - moved[:, 1]
    return F.grid_sample(images, torch.stack((x, y), 3), padding_mode="border", align_corners=True)


def temperature_range(size: int, cuts: Int64[Tensor, " n"]) -> tuple[Tensor, Tensor]:
    """The least and the largest temperature of warps of images of `size` pixels, by their cuts.

    A temperature T displaces pixels by size * (pi * T * log(cut))^(1/2) / 2, typically.
    """
    logs = cuts.double().log()
    low = 1 / (math.pi * size**2 * logs)
    return low, torch.maximum(low, 4 / (math.pi**3 * cuts**2 * logs))


def _fields(
    coefficients: Float32[Tensor, "n 2 m m"], cuts: Int64[Tensor, " n"], *, size: int
) -> Float32[Tensor, "n 2 {size} {size}"]:
    modes = torch.arange(1, coefficients.shape[-1] + 1, device=coefficients.device)
    radius = (modes[:, None] ** 2 + modes**2).sqrt()
    within = radius < cuts[:, None, None] + 0.5  # n m m
    x = torch.linspace(0, math.pi, size, device=coefficients.device)
    waves = torch.sin(modes[:, None] * x)  # m size
    return waves.T @ (coefficients * (within / radius)[:, None]) @ waves


def _arcsine(draws: Tensor) -> Tensor:
    """Uniform draws to those of Beta(1/2, 1/2)."""
    return torch.sin(math.pi / 2 * draws) ** 2
