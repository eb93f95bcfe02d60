"""The U-Net: segmentation_models_pytorch's, with its input's conventions inside."""

import difflib

import segmentation_models_pytorch as smp
import timm
import torch
from jaxtyping import Float32, UInt8
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import Tensor, nn

from bgdata.errors import InputError

# ImageNet's statistics, with which the encoders' weights were trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# Channels of the decoder from the deepest stage up; a shallower network begins later. Source: the package's defaults.
_DECODER = (256, 128, 64, 32, 16)


class UNet(nn.Module):
    """A network with its input's conventions inside: square photos in [0, 1] in, one logit a pixel out."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, encoder: str, depth: int, size: int) -> None:
        super().__init__()
        self.network = network
        self.encoder = encoder
        self.depth = depth
        self.size = size
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(
        self, images: Float32[Tensor, "b 3 s s"], *, precision: torch.dtype = torch.float32
    ) -> Float32[Tensor, "b s s"]:
        """Logits of the foreground, multiplied in `precision`, of RGB photos in [0, 1] with sides that 32 divides."""
        normalised = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
            logits: Tensor = self.network(normalised)
        return logits[:, 0].float()


def build_unet(encoder: str, *, depth: int, size: int, weights: str | None = None, seed: int = 0) -> UNet:
    """A U-Net on an encoder by name; `weights` is `imagenet`, fetched over the network, or None, drawn from `seed`.

    Raises InputError where the encoder is unknown or of no use, or its weights cannot be had.
    """
    _check_name(encoder)
    # timm knows no names of weights but its models' own.
    start: str | bool | None = True if weights and encoder.startswith("tu-") else weights
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = smp.Unet(
                encoder, encoder_depth=depth, decoder_channels=_DECODER[-depth:], encoder_weights=start, classes=1
            )
    except OSError as error:
        raise InputError(
            f"the {weights} weights of {encoder} could not be downloaded ({error}): connect to the network, or set "
            "unet.encoder_weights to null"
        ) from None
    except (KeyError, RuntimeError, ValueError) as error:
        raise InputError(f"{encoder} cannot be the encoder of a U-Net ({error}): take resnet18 or resnet34") from None
    return UNet(network, encoder=encoder, depth=depth, size=size).to(memory_format=torch.channels_last)


def to_unit(images: UInt8[Tensor, "b s s 3"], device: torch.device) -> Float32[Tensor, "b 3 s s"]:
    """Photos at rest as the network takes them: in [0, 1] on its device."""
    return images.to(device).permute(0, 3, 1, 2).float().div_(255)


def foreground_probability(
    unet: UNet, photos: UInt8[Tensor, "b s s 3"], *, precision: torch.dtype
) -> Float32[Tensor, "b s s"]:
    """The probability of foreground, on the CPU, of square photos at rest; the network is in evaluation mode."""
    with torch.inference_mode():
        return torch.sigmoid(unet(to_unit(photos, unet.mean.device), precision=precision)).cpu()


def _check_name(encoder: str) -> None:
    # Those with timm- are the package's deprecated names for tu-.
    known = [name for name in get_encoder_names() if not name.startswith("timm-")]
    known += [f"tu-{name}" for name in timm.list_models()]
    if encoder.split(".")[0] not in known:
        close = ", ".join(difflib.get_close_matches(encoder, known)) or "resnet18, resnet34, tu-resnet18"
        raise InputError(
            f"no encoder is called {encoder!r}: try {close} (unet.encoder takes segmentation_models_pytorch's names)"
        )
