"""Classifiers as feature extractors: images in [0, 1] in, feature maps by stride or pooled features out."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bgdata.errors import InputError
from models.classifiers.classifier import resize_images
from models.classifiers.judged import run_network
from models.transfer.maps import collecting, find_sources


class FeatureNetwork(nn.Module):
    """A network behind its normalisation; `keep_as_it_is` holds it in evaluation mode for good."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.stays = False
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def normalised(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The network's input, channels last, of RGB images in [0, 1]."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def keep_as_it_is(self, stays: bool = True) -> None:
        """Whether `train` passes the network by, also where it is called on a whole that holds it."""
        self.stays = stays
        self.train(self.training)

    def train(self, mode: bool = True) -> "FeatureNetwork":
        """Training mode, unless the network is to stay as it is: then evaluation mode."""
        return super().train(mode and not self.stays)


class Backbone(FeatureNetwork):
    """A classifier without its head: feature maps of RGB images in [0, 1].

    `channels`: those of each map by stride, ascending. Strides are of 4, 8, 16 and 32 those that the network has. Maps
    are as the stages give them: where mmdetection puts a new layer norm on each of Swin's, only the coarsest has one.
    """

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        sources = find_sources(network)
        super().__init__(network.to(memory_format=torch.channels_last), mean=mean, std=std)
        self.sources = sources
        self.channels = {stride: source.channels for stride, source in sources.items()}

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> dict[int, Tensor]:
        """Maps by stride, `B channels[stride] H/stride W/stride`, the finest first.

        Raises InputError where a side is no multiple of the largest stride.
        """
        height, width = images.shape[-2:]
        largest = max(self.channels)
        if height % largest or width % largest:
            raise InputError(
                f"images of {height}x{width} pixels came to a backbone whose coarsest map has stride {largest}: "
                f"resize or pad them so that {largest} divides both sides"
            )
        with collecting(self.network, self.sources) as maps:
            self.network(self.normalised(images))
        return {stride: maps[stride] for stride in self.channels}


class PooledBackbone(FeatureNetwork):
    """A classifier without its head: the features of its last layer but one, `width` of them.

    `size`: the side in pixels that images are resized to first; None: they are taken as they come.
    """

    def __init__(
        self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float], size: int | None = None
    ) -> None:
        super().__init__(network.to(memory_format=torch.channels_last), mean=mean, std=std)
        self.size = size
        self.eval()
        with torch.no_grad():
            features = run_network(network, torch.zeros(1, 3, size or 64, size or 64))
        if not isinstance(features, Tensor) or features.ndim != 2:
            found = "x".join(map(str, features.shape)) if isinstance(features, Tensor) else type(features).__name__
            raise InputError(f"{type(network).__name__} gives {found} for an image, expected one row of features")
        self.width = features.shape[1]

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Features of RGB images in [0, 1]."""
        resized = images if self.size is None else resize_images(images, self.size)
        return self.network(self.normalised(resized))
