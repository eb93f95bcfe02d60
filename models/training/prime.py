"""PRIME: random colours, filters and warps of maximal entropy, for chains of operations (see `chains`).

Source: Modas et al. 2022, and the settings of their program. What differs from it: every image has draws of its own,
also of cuts and temperatures (there a batch shares them); a filter's delta is in its middle (there in a corner); images
are in [0, 1] and normalised later, by the network (the program does so too, but users have put it behind the
normalisation, where the clamps and the sines mean something else).
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, Float64, Int64
from torch import Generator, Tensor

from models.training.augment import by_parts
from models.training.chains import Operation
from models.training.settings import AugmentSettings

# Functions of colours are looked up in tables of so many steps from black to white: 16 to a grey level.
_STEPS = 16 * 255
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
    images: Float32[Tensor, "n 3 h w"], generator: Generator, *, cut: int, temperature: float, bandwidth: int
) -> Float32[Tensor, "n 3 h w"]:
    """Add a random smooth function of its value to each value of a channel, and clamp to [0, 1].

    The function is a sum of sin(pi k x) over up to `bandwidth` successive k, no larger than a largest one that is drawn
    from 1 to `cut`; their coefficients are normal, of a variance that is drawn from 0 to `temperature`. With
    temperature 0 images stay as they are. Black and white stay black and white.
    """
    draws = torch.rand(3, len(images), generator=generator, dtype=torch.float64)
    largest = 1 + (draws[0] * cut).long()
    first = 1 + (draws[1] * largest).long()
    waves = first[:, None] + torch.arange(bandwidth)  # n bandwidth
    spread = (temperature * draws[2]).sqrt()[:, None] * (waves <= largest[:, None])
    coefficients = torch.randn(len(images), 3, bandwidth, generator=generator) * spread.float()[:, None]
    waves = waves.clamp(max=_STEPS)[:, None].expand(coefficients.shape)
    return by_parts(_coloured, images, coefficients.to(images.device), waves.to(images.device))


def _coloured(
    images: Float32[Tensor, "n 3 h w"], coefficients: Float32[Tensor, "n 3 k"], waves: Int64[Tensor, "n 3 k"]
) -> Float32[Tensor, "n 3 h w"]:
    spectrum = torch.zeros(len(images), 3, _STEPS + 1, dtype=torch.complex64, device=images.device)
    spectrum.imag.scatter_add_(2, waves, coefficients)
    # The sums of coefficient * sin(pi * wave * x), at x = 0, 1 / steps, ... 1 and back to 0.
    tables = torch.fft.irfft(spectrum, 2 * _STEPS) * -_STEPS
    places = (images * _STEPS).round_().long().flatten(2)
    return tables.gather(2, places).view(images.shape).add_(images).clamp_(0, 1)


def filter_randomly(
    images: Float32[Tensor, "n 3 h w"], generator: Generator, *, side: int, sigma: float
) -> Float32[Tensor, "n 3 h w"]:
    """Convolve each image with a random kernel, the same for its channels, and clamp to [0, 1].

    The kernel is a delta and normal noise, of a standard deviation that is drawn from 0 to `sigma`; outside an image
    all is black. With sigma 0 images stay as they are.
    """
    spread = sigma * torch.rand(len(images), 1, 1, generator=generator)
    kernels = spread * torch.randn(len(images), side, side, generator=generator)
    kernels[:, side // 2, side // 2] += 1
    return by_parts(_filtered, images, kernels.to(images.device))


def _filtered(images: Float32[Tensor, "n 3 h w"], kernels: Float32[Tensor, "n k k"]) -> Float32[Tensor, "n 3 h w"]:
    one = images.flatten(0, 1)[None]  # 1 n*3 s s: each channel is a group
    repeated = kernels.repeat_interleave(3, 0)[:, None]
    filtered = F.conv2d(one, repeated, padding=kernels.shape[-1] // 2, groups=len(repeated))
    return filtered.view(images.shape).clamp_(0, 1)


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
    size = images.shape[-1]
    draws = torch.rand(3, len(images), generator=generator, dtype=torch.float64)
    largest = _LEAST_CUT + 1 + (draws[0] * (cut - _LEAST_CUT)).long()
    cuts = _LEAST_CUT + (_arcsine(draws[1]) * (largest - _LEAST_CUT + 1)).long().clamp(max=cut - _LEAST_CUT)
    low, high = temperature_range(size, cuts)
    chosen = temperature * (low + _arcsine(draws[2]) * (high - low))
    fields = random_fields(cuts.tolist(), generator, size=size, device=images.device)
    scales = chosen.sqrt().float().to(images.device)[:, None, None, None]
    return by_parts(_warped, images, fields, scales)


def _warped(
    images: Float32[Tensor, "n 3 s s"], fields: Float32[Tensor, "n s 2 s"], scales: Float32[Tensor, "n 1 1 1"]
) -> Float32[Tensor, "n 3 s s"]:
    """Fields count in sides of the image, which the grid has from -1 to 1 at the middles of the outer pixels."""
    size = images.shape[-1]
    x = torch.linspace(-1, 1, size, device=images.device).expand(size, size)
    places = torch.stack((x, x.T), 1)  # s 2 s
    grid = places - fields * (scales * (2 * size / (size - 1)))
    return F.grid_sample(images, grid.mT, padding_mode="border", align_corners=True)


def temperature_range(size: int, cuts: Int64[Tensor, " n"]) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
    """The least and the largest temperature of warps of images of `size` pixels, by their cuts.

    A temperature T displaces pixels by size * (pi * T * log(cut))^(1/2) / 2, typically.
    """
    logs = cuts.double().log()
    low = 1 / (math.pi * size**2 * logs)
    return low, torch.maximum(low, 4 / (math.pi**3 * cuts**2 * logs))


def random_fields(
    cuts: Sequence[int], generator: Generator, *, size: int, device: torch.device
) -> Float32[Tensor, "n {size} 2 {size}"]:
    """Random fields of temperature 1, one for each cut: by row displacements in x and in y, in sides of the image."""
    modes = torch.arange(1, min(max(cuts), size - 1) + 1, device=device)
    radius = (modes[:, None] ** 2 + modes**2).sqrt()
    waves = torch.sin(modes[:, None] * torch.linspace(0, math.pi, size, device=device))  # m size
    fields = torch.empty(len(cuts), size, 2 * size, device=device)
    for field, cut in zip(fields, cuts, strict=True):  # all at once, padded to the largest, take three times as long
        count = min(cut, size - 1)
        coefficients = torch.randn(count, 2, count, generator=generator).to(device)
        coefficients *= ((radius[:count, :count] < cut + 0.5) / radius[:count, :count])[:, None]
        rows = coefficients.flatten(0, 1) @ waves[:count]
        torch.mm(waves[:count].T, rows.view(count, 2 * size), out=field)
    return fields.view(-1, size, 2, size)


def _arcsine(draws: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
    """Uniform draws to those of Beta(1/2, 1/2)."""
    return torch.sin(math.pi / 2 * draws) ** 2
