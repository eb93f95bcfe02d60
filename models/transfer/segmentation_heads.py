"""From a backbone's feature maps to a score for each class and place: UPerNet and a small FCN."""

from collections.abc import Mapping

import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from torch import Tensor, nn

from bgdata.errors import InputError


class UperNet(nn.Module):
    """Pooling at four scales over the coarsest map, then a feature pyramid, whose levels are all fused at the finest.

    Source: Xiao et al. 2018, the decoder of segmentation_models_pytorch, which puts a layer norm on each map;
    mmsegmentation's has dropout of 0.1 before the last layer too.
    """

    def __init__(self, channels: Mapping[int, int], classes: int, *, width: int, dropout: float) -> None:
        # Here: the library takes two seconds to import, and the small head does without.
        from segmentation_models_pytorch.base.initialization import initialize_decoder
        from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

        super().__init__()
        # Its lists begin with the image and the map of stride 2, which it never reads.
        self.decoder = UPerNetDecoder((0, 0, *channels.values()), len(channels) + 1, width)
        initialize_decoder(self.decoder)
        self.last = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))

    def forward(self, maps: Mapping[int, Tensor]) -> Tensor:
        """Scores, `B K h w`, at the stride of the finest of the maps by stride.

        Raises InputError for a single image in training: a batch norm sees one place an image there.
        """
        images = len(next(iter(maps.values())))
        if self.training and images == 1:
            raise InputError("upernet cannot be trained on one image at a time: take a batch of two or more")
        return self.last(self.decoder([None, None, *maps.values()]))


class Fcn(nn.Module):
    """A layer of 3 x 3 over the coarsest map, or over all maps added at the finest (`fused`), and a last one of 1 x 1.

    Source: Long et al. 2015 in mmsegmentation's form (which has two layers of 3 x 3); in a fused one each map first
    goes through a layer of 1 x 1, as in a feature pyramid.
    """

    def __init__(self, channels: Mapping[int, int], classes: int, *, width: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.strides = tuple(channels) if fused else (max(channels),)
        self.laterals = nn.ModuleDict(
            {str(stride): nn.Conv2d(channels[stride], width, 1) for stride in self.strides} if fused else {}
        )
        self.layer = nn.Sequential(
            nn.Conv2d(width if fused else channels[max(channels)], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        for name, weights in self.named_parameters():
            if weights.ndim == 4:
                nn.init.kaiming_uniform_(weights, nonlinearity="relu")
            elif name.startswith("laterals"):
                nn.init.zeros_(weights)
        self.last = nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, classes, 1))

    def forward(self, maps: Mapping[int, Tensor]) -> Tensor:
        """Scores, `B K h w`, at the stride of the finest of the maps that are read."""
        return self.last(self.layer(self._taken(maps)))

    def _taken(self, maps: Mapping[int, Tensor]) -> Tensor:
        if not self.laterals:
            return maps[self.strides[-1]]
        finest, *others = (self.laterals[str(stride)](maps[stride]) for stride in self.strides)
        for other in others:
            finest = finest + enlarge(other, (finest.shape[2], finest.shape[3]))
        return finest


def enlarge(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores, `B K h w`, at another height and width, bilinearly."""
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)
