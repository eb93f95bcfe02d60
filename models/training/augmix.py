"""AugMix's operations, for chains of them (see `chains`): those that share nothing with the common corruptions.

Source: Hendrycks et al. 2020, and the ranges of their program: levels are uniform from 0.1 to the severity, an image's
own; a level of 10 rotates by 30 degrees, shears by 0.3, moves by a third of the side. What differs from it: images are
floats (the program rounds to grey levels after each operation), and bilinear sampling blends with the black outside.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

from models.training.augment import by_parts
from models.training.chains import Operation
from models.training.settings import AugmentSettings

# Levels to 2 x 3 matrices: where each place of the new image comes from. A side is 2 long, 0 in the middle.
Move = Callable[[Float32[Tensor, " n"], int], Float32[Tensor, "n 2 3"]]


def augmix_operations(settings: AugmentSettings) -> list[Operation]:
    """The nine operations at the settings' severity; at 0 none."""
    if not settings.severity:
        return []
    levelled: tuple[Callable[..., Tensor], ...] = (posterize, solarize, *(partial(move, by=by) for by in MOVES))
    return [autocontrast, equalize, *(partial(operation, severity=settings.severity) for operation in levelled)]


def autocontrast(
    images: Float32[Tensor, "n 3 s s"],
    generator: Generator,  # noqa: ARG001  # an operation's
) -> Float32[Tensor, "n 3 s s"]:
    """Stretch each channel from black to white."""
    return by_parts(functional.autocontrast, images)


def equalize(
    images: Float32[Tensor, "n 3 s s"],
    generator: Generator,  # noqa: ARG001  # an operation's
) -> Float32[Tensor, "n 3 s s"]:
    """Make each channel's histogram flat; works on grey levels."""
    return by_parts(functional.equalize, images)


def posterize(images: Float32[Tensor, "n 3 s s"], generator: Generator, *, severity: int) -> Float32[Tensor, "n 3 s s"]:
    """Keep the upper 4 bits of each value's grey level, fewer at higher levels."""
    bits = 4 - (_draw_levels(len(images), generator, severity) * 0.4).int()
    steps = (2.0 ** (8 - bits))[:, None, None, None]
    return by_parts(_posterized, images, steps.to(images.device))


def _posterized(images: Float32[Tensor, "n 3 s s"], steps: Float32[Tensor, "n 1 1 1"]) -> Float32[Tensor, "n 3 s s"]:
    return (images * 255).add_(0.5).div_(steps).floor_().mul_(steps / 255)


def solarize(images: Float32[Tensor, "n 3 s s"], generator: Generator, *, severity: int) -> Float32[Tensor, "n 3 s s"]:
    """Invert the values from a threshold on, which is lower at higher levels."""
    thresholds = 256 - (_draw_levels(len(images), generator, severity) * 25.6).int()
    least = ((thresholds - 0.5) / 255)[:, None, None, None]
    return by_parts(_solarized, images, least.to(images.device))


def _solarized(images: Float32[Tensor, "n 3 s s"], least: Float32[Tensor, "n 1 1 1"]) -> Float32[Tensor, "n 3 s s"]:
    return torch.where(images >= least, 1 - images, images)


def move(
    images: Float32[Tensor, "n 3 s s"], generator: Generator, *, by: Move, severity: int
) -> Float32[Tensor, "n 3 s s"]:
    """Move the pixels of each image, to either side; what comes from outside is black."""
    levels = _draw_levels(len(images), generator, severity)
    signs = 2 * torch.randint(2, levels.shape, generator=generator) - 1
    return by_parts(_moved, images, by(levels * signs, images.shape[-1]).to(images.device))


def _moved(images: Float32[Tensor, "n 3 s s"], matrices: Float32[Tensor, "n 2 3"]) -> Float32[Tensor, "n 3 s s"]:
    """`F.affine_grid` takes as long as the rest of it."""
    side = images.shape[-1]
    places = torch.linspace(-1, 1, side, device=images.device) * ((side - 1) / side)
    from_x, from_y, constant = matrices[..., None, None].unbind(2)  # n 2 1 1
    grid = (from_x * places + constant) + from_y * places[:, None]  # n 2 s s
    return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)


def _rotation(levels: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n 2 3"]:  # noqa: ARG001  # a Move's
    """By whole degrees, around the middle."""
    angles = (levels * 3).trunc() * (math.pi / 180)
    cos, sin, nought = angles.cos(), angles.sin(), torch.zeros_like(angles)
    return torch.stack((cos, -sin, nought, sin, cos, nought), 1).view(-1, 2, 3)


def _shear_x(levels: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n 2 3"]:  # noqa: ARG001  # a Move's
    """The upper edge stays."""
    matrices, shear = _still(levels), levels * 0.03
    matrices[:, 0, 1] = matrices[:, 0, 2] = shear
    return matrices


def _shear_y(levels: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n 2 3"]:
    """The left edge stays."""
    return _swapped(_shear_x(levels, side))


def _shift_x(levels: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n 2 3"]:
    """By whole pixels."""
    matrices = _still(levels)
    matrices[:, 0, 2] = (levels * (side / 30)).trunc() * (2 / side)
    return matrices


def _shift_y(levels: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n 2 3"]:
    """By whole pixels."""
    return _swapped(_shift_x(levels, side))


MOVES: tuple[Move, ...] = (_rotation, _shear_x, _shear_y, _shift_x, _shift_y)


def _still(levels: Float32[Tensor, " n"]) -> Float32[Tensor, "n 2 3"]:
    return torch.eye(2, 3).repeat(len(levels), 1, 1)


def _swapped(matrices: Float32[Tensor, "n 2 3"]) -> Float32[Tensor, "n 2 3"]:
    """The same with x for y."""
    return matrices[:, [1, 0]][:, :, [1, 0, 2]]


def _draw_levels(count: int, generator: Generator, severity: int) -> Float32[Tensor, " {count}"]:
    return 0.1 + (severity - 0.1) * torch.rand(count, generator=generator)
