"""Random crops, flips and colours of a whole batch at once, on its device.

Each function takes a CPU generator: the choices are the same on every device.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Generator, Tensor

# ITU-R BT.601, the weights of torchvision's rgb_to_grayscale.
_GREY = (0.2989, 0.587, 0.114)
_RATIO = (3 / 4, 4 / 3)


def crop_and_flip(
    images: Float32[Tensor, "b c s s"], generator: Generator, *, crop_scale: float, flip: bool
) -> Float32[Tensor, "b c s s"]:
    """Random resized crop and horizontal flip, one draw an image; channels of one image move together.

    The crop covers a share of the area from `crop_scale` to 1, its sides' ratio is from 3:4 to 4:3 (log-uniform) where
    it fits, and it is resized bilinearly to the whole. A mask stacked as a further channel stays in step. With
    `crop_scale` 1 and no flip the images stay as they are, to the pixel.
    Source: torchvision's RandomResizedCrop and RandomHorizontalFlip.
    """
    if crop_scale == 1 and not flip:
        return images
    draws = torch.rand(5, len(images), generator=generator)
    area = crop_scale + (1 - crop_scale) * draws[0]
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = torch.exp(low + (high - low) * draws[1])
    width, height = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    x, y = (1 - width) * (2 * draws[2] - 1), (1 - height) * (2 * draws[3] - 1)  # centres; the image spans -1 to 1
    if flip:
        width = torch.where(draws[4] < 0.5, -width, width)
    grid = _crop_grid(width, height, x, y, side=images.shape[-1], device=images.device)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _crop_grid(
    width: Float32[Tensor, " b"],
    height: Float32[Tensor, " b"],
    x: Float32[Tensor, " b"],
    y: Float32[Tensor, " b"],
    *,
    side: int,
    device: torch.device,
) -> Float32[Tensor, "b {side} {side} 2"]:
    """Where each pixel comes from, as `F.grid_sample` wants it: `F.affine_grid` of no rotation, at a quarter of it."""
    width, height, x, y = torch.stack((width, height, x, y)).to(device)[:, :, None]
    centres = torch.linspace(-1, 1, side, device=device) * ((side - 1) / side)
    grid = torch.empty(len(x), side, side, 2, device=device)
    grid[..., 0] = (width * centres + x)[:, None, :]
    grid[..., 1] = (height * centres + y)[:, :, None]
    return grid


def jitter_colours(
    images: Float32[Tensor, "b 3 h w"], generator: Generator, *, jitter: float
) -> Float32[Tensor, "b 3 h w"]:
    """Change brightness, contrast and saturation by factors from 1 - jitter to 1 + jitter, one draw each an image.

    All three are linear in the pixels, so they are one matrix and one offset an image; the result is clamped to [0, 1]
    once. Source: torchvision's ColorJitter, which clamps after each and draws their order too.
    """
    if jitter == 0:
        return images
    draws = 1 + jitter * (2 * torch.rand(3, len(images), 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = draws.to(images.device)  # b 1 1 each
    grey = torch.tensor(_GREY, device=images.device)
    mean = (images.mean((2, 3)) @ grey)[:, None, None]
    mix = saturation * torch.eye(3, device=images.device) + (1 - saturation) * grey.expand(3, 3)  # b 3 3
    matrix = brightness * contrast * mix
    offset = brightness * (1 - contrast) * mean  # b 1 1
    return torch.baddbmm(offset, matrix, images.flatten(2)).clamp_(0, 1).view(images.shape)
