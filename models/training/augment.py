"""Random crops, flips and colours of a batch, on its device.

Each function takes a CPU generator: the choices are the same on every device. On a CPU the work is done in parts that
stay in its cache, which halves the time at 224 pixels.
"""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, UInt8
from torch import Generator, Tensor

# ITU-R BT.601, the weights of torchvision's rgb_to_grayscale.
_GREY = (0.2989, 0.587, 0.114)
_RATIO = (3 / 4, 4 / 3)
# Values of a part on a CPU: eight photos of 224 pixels.
_PART = 8 * 3 * 224**2


def crop_and_flip(
    images: Float32[Tensor, "b c s s"] | UInt8[Tensor, "b c s s"],
    generator: Generator,
    *,
    crop_scale: float,
    flip: bool,
) -> Float32[Tensor, "b c s s"]:
    """Random resized crop and horizontal flip, one draw an image, as floats; channels of one image move together.

    The crop covers a share of the area from `crop_scale` to 1, its sides' ratio is from 3:4 to 4:3 (log-uniform) where
    it fits, and it is resized bilinearly to the whole. A mask stacked as a further channel stays in step. With
    `crop_scale` 1 and no flip the images stay as they are, to the pixel.
    Source: torchvision's RandomResizedCrop and RandomHorizontalFlip.
    """
    if crop_scale == 1 and not flip:
        return _floats(images)
    draws = torch.rand(5, len(images), generator=generator)
    area = crop_scale + (1 - crop_scale) * draws[0]
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = torch.exp(low + (high - low) * draws[1])
    width, height = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    x, y = (1 - width) * (2 * draws[2] - 1), (1 - height) * (2 * draws[3] - 1)  # centres; the image spans -1 to 1
    if flip:
        width = torch.where(draws[4] < 0.5, -width, width)
    place = torch.stack((width, height, x, y))
    cropped = torch.empty(images.shape, device=images.device)
    for part in _parts(images):
        grid = _crop_grid(place[:, part], side=images.shape[-1], device=images.device)
        cropped[part] = F.grid_sample(
            _floats(images[part]), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
    return cropped


def _crop_grid(
    place: Float32[Tensor, "4 b"], *, side: int, device: torch.device
) -> Float32[Tensor, "b {side} {side} 2"]:
    """Where each pixel comes from, as `F.grid_sample` wants it: `F.affine_grid` of no rotation, at a quarter of it."""
    width, height, x, y = place.to(device)[:, :, None]
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
    factors = draws.to(images.device)  # 3 b 1 1
    coloured = torch.empty(images.shape, device=images.device)
    for part in _parts(images):
        coloured[part] = _coloured(images[part], factors[:, part])
    return coloured


def _coloured(images: Float32[Tensor, "b 3 h w"], factors: Float32[Tensor, "3 b 1 1"]) -> Float32[Tensor, "b 3 h w"]:
    brightness, contrast, saturation = factors
    grey = torch.tensor(_GREY, device=images.device)
    mean = (images.mean((2, 3)) @ grey)[:, None, None]
    mix = saturation * torch.eye(3, device=images.device) + (1 - saturation) * grey.expand(3, 3)  # b 3 3
    matrix = brightness * contrast * mix
    offset = brightness * (1 - contrast) * mean  # b 1 1
    return torch.baddbmm(offset, matrix, images.flatten(2)).clamp_(0, 1).view(images.shape)


def _parts(images: Tensor) -> Iterator[slice]:
    """The whole batch, or on a CPU parts of it."""
    size = max(1, _PART // images[0].numel()) if images.device.type == "cpu" else len(images)
    return (slice(start, start + size) for start in range(0, len(images), size))


def by_parts(change: Callable[..., Tensor], images: Float32[Tensor, "b c h w"], *draws: Tensor) -> Tensor:
    """`change(images, *draws)`, whose draws are an image's own, in parts."""
    changed = [change(images[part], *(draw[part] for draw in draws)) for part in _parts(images)]
    return changed[0] if len(changed) == 1 else torch.cat(changed)


def _floats(images: Float32[Tensor, "*b"] | UInt8[Tensor, "*b"]) -> Float32[Tensor, "*b"]:
    """Images in [0, 1]."""
    return images if images.is_floating_point() else images.float().div_(255)
