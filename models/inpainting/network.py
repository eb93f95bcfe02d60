"""LaMa's generator: a residual network whose convolutions see part of their channels as a spectrum of the whole image.

Modules bear the names of the published checkpoints, so that these load strictly.

Source: Suvorov et al. 2022 (LaMa; the "big" model: 18 blocks, 51 M weights), Chi et al. 2020 (fast Fourier
convolution), without the latter's local Fourier unit, as the published model is.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

_GLOBAL = 0.75
_DOWNSAMPLINGS = 3
# Images are halved so often, and the smallest map is padded by a reflected pixel.
MULTIPLE = 2**_DOWNSAMPLINGS
SMALLEST = 2 * MULTIPLE
# Local channels and global ones; there may be none of these.
Parts = tuple[Tensor, Tensor | None]


class Generator(nn.Module):
    """What an image may look like in its hole; `width` channels at first, eight times as many in the blocks.

    Takes `B 4 H W`: RGB in [0, 1], 0 in the hole, and the hole (1 inside); sides are multiples of `MULTIPLE` and at
    least `SMALLEST`. Gives RGB in [0, 1], `B 3 H W`.
    """

    def __init__(self, *, width: int = 64, blocks: int = 18) -> None:
        super().__init__()
        widths = [width * 2**depth for depth in range(_DOWNSAMPLINGS + 1)]
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            SplitConvolution((4, 0), (width, 0), side=7, padding=0),
            *(
                SplitConvolution((few, 0), _split(many) if many == widths[-1] else (many, 0), stride=2)
                for few, many in pairwise(widths)
            ),
            *(Residual(widths[-1]) for _ in range(blocks)),
            Joined(),
            *(layer for many, few in pairwise(widths[::-1]) for layer in _enlarge(many, few)),
            nn.ReflectionPad2d(3),
            nn.Conv2d(width, 3, 7),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Fill; see the class."""
        filled: Tensor = self.model(images)
        return filled


class SplitConvolution(nn.Module):
    """A Fourier convolution with batch norm and ReLU, from (local, global) channels to such; 0: there are none."""

    def __init__(
        self, channels: tuple[int, int], out: tuple[int, int], *, side: int = 3, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__()
        convolution = partial(
            nn.Conv2d, kernel_size=side, stride=stride, padding=padding, padding_mode="reflect", bias=False
        )
        self.ffc = FourierConvolution(channels, out, convolution)
        self.bn_l = nn.BatchNorm2d(out[0])
        self.bn_g = nn.BatchNorm2d(out[1]) if out[1] else None

    def forward(self, parts: Tensor | Parts) -> Parts:
        """A tensor has local channels alone."""
        local, whole = self.ffc(parts if isinstance(parts, tuple) else (parts, None))
        return torch.relu_(self.bn_l(local)), None if self.bn_g is None else torch.relu_(self.bn_g(whole))


class FourierConvolution(nn.Module):
    """Convolutions between local and global channels; from global to global by the spectrum (Chi et al. 2020)."""

    def __init__(
        self, channels: tuple[int, int], out: tuple[int, int], convolution: Callable[[int, int], nn.Conv2d]
    ) -> None:
        super().__init__()
        self.convl2l = convolution(channels[0], out[0])
        self.convl2g = convolution(channels[0], out[1]) if out[1] else None
        self.convg2l = convolution(channels[1], out[0]) if channels[1] else None
        self.convg2g = SpectralTransform(channels[1], out[1]) if channels[1] else None

    def forward(self, parts: Parts) -> Parts:
        """Each part of what comes out is the sum over the parts of what goes in."""
        local, whole = parts
        out_local = self.convl2l(local)
        out_whole = None if self.convl2g is None else self.convl2g(local)
        if whole is None:
            return out_local, out_whole
        assert self.convg2l and self.convg2g, "built with these channels"
        return out_local + self.convg2l(whole), out_whole + self.convg2g(whole)


class SpectralTransform(nn.Module):
    """Narrowed to half the channels, those joined by what becomes of their spectrum, widened again."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU(inplace=True)
        )
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, out, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """`B C H W` to `B out H W`."""
        narrow = self.conv1(images)
        widened: Tensor = self.conv2(narrow + self.fu(narrow))
        return widened


class FourierUnit(nn.Module):
    """A 1 x 1 convolution over the frequencies, real and imaginary parts as channels side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, images: Tensor) -> Tensor:
        """`B C H W` to the same."""
        spectrum = torch.fft.rfft2(images, norm="ortho")
        channels = torch.view_as_real(spectrum).movedim(-1, 2).flatten(1, 2)  # B 2C H W/2+1
        changed = torch.relu_(self.bn(self.conv_layer(channels)))
        spectrum = torch.complex(changed[:, ::2], changed[:, 1::2])  # B C H W/2+1
        return torch.fft.irfft2(spectrum, s=images.shape[-2:], norm="ortho")


class Residual(nn.Module):
    """Two Fourier convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = SplitConvolution(_split(channels), _split(channels))
        self.conv2 = SplitConvolution(_split(channels), _split(channels))

    def forward(self, parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Both parts to the same."""
        local, whole = self.conv2(self.conv1(parts))
        return parts[0] + local, parts[1] + whole


class Joined(nn.Module):
    """Local and global channels in one tensor."""

    def forward(self, parts: tuple[Tensor, Tensor]) -> Tensor:
        """The local ones stand first."""
        return torch.cat(parts, dim=1)


def _split(channels: int) -> tuple[int, int]:
    """(local, global) channels of so many in all."""
    whole = int(_GLOBAL * channels)
    return channels - whole, whole


def _enlarge(channels: int, out: int) -> tuple[nn.Module, ...]:
    double = nn.ConvTranspose2d(channels, out, 3, stride=2, padding=1, output_padding=1)
    return double, nn.BatchNorm2d(out), nn.ReLU(inplace=True)
