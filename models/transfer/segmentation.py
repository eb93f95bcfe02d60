"""Semantic segmentation: a class for each pixel, by UPerNet or a small FCN on any backbone's maps."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.transfer_sets.base import VOID, LabelledImage
from models.transfer.backbones import Backbone, FeatureNetwork
from models.transfer.batches import open_mix, to_images
from models.transfer.crops import draw_square
from models.transfer.mean_iou import METRICS, MeanIou, labels_of, measure_iou
from models.transfer.segmentation_heads import Fcn, UperNet, enlarge
from models.transfer.task_settings import SegmentationSettings


class Segmenter(nn.Module):
    """A backbone and a head on its maps: a score for each class and place of images in [0, 1]."""

    def __init__(self, backbone: Backbone, head: nn.Module, *, auxiliary: nn.Module | None, categories: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.categories = categories
        self.head = head.to(memory_format=torch.channels_last)
        self.auxiliary = None if auxiliary is None else auxiliary.to(memory_format=torch.channels_last)

    def forward(self, images: Float32[Tensor, "b 3 h w"]) -> Tensor:
        """Scores, `B K h/stride w/stride`, of images whose sides the coarsest stride divides."""
        return self.head(self.backbone(images))

    def both_scores(self, images: Float32[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        """The scores of the head, and of the auxiliary one where there is one, by the name of their loss."""
        maps = self.backbone(images)
        scores = {"segmentation": self.head(maps)}
        if self.auxiliary is not None:
            scores["auxiliary"] = self.auxiliary({stride: maps[stride] for stride in sorted(maps)[:-1]})
        return scores


class Segmentation:
    """Segmentation as a task: predictions are classes a pixel, `H W` uint8; the score is mean IoU."""

    name = "segmentation"
    metrics: tuple[str, ...] = METRICS

    def __init__(self, settings: SegmentationSettings) -> None:
        self.settings = settings
        self._mix = open_mix(settings.augment, in_place=True)

    def build(self, backbone: FeatureNetwork, categories: int) -> Segmenter:
        """See `Task`; raises InputError where the backbone gives no maps."""
        if not isinstance(backbone, Backbone):
            raise InputError("segmentation stands on feature maps, and this backbone has none: take another backbone")
        settings, channels = self.settings, backbone.channels
        made: dict[str, Any] = {"width": settings.channels, "dropout": settings.dropout}
        if settings.head == "upernet":
            head: nn.Module = UperNet(channels, categories, **made)
        else:
            head = Fcn(channels, categories, fused=settings.head == "fused_fcn", **made)
        finer = {stride: channels[stride] for stride in sorted(channels)[:-1]}
        auxiliary = Fcn(finer, categories, fused=False, **made) if settings.auxiliary else None
        return Segmenter(backbone, head, auxiliary=auxiliary, categories=categories)

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        """See `Task`: cross-entropy at the crops' resolution, over the pixels that are not void."""
        assert isinstance(network, Segmenter)
        crops, labels = self._crops(network, batch, generator)
        images = self._mix(to_images(crops, device), generator)
        targets = torch.from_numpy(np.stack(labels)).to(device).long()
        weights = {"segmentation": 1.0, "auxiliary": self.settings.auxiliary}
        return {
            name: weights[name] * mean_cross_entropy(scores, targets, balance=self.settings.balance)
            for name, scores in network.both_scores(images).items()
        }

    @torch.inference_mode()
    def predict(
        self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device
    ) -> list[UInt8[np.ndarray, "h w"]]:
        """See `Task`. Images are resized to `size` at their shorter side, both sides rounded to the coarsest stride."""
        assert isinstance(network, Segmenter)
        stride = max(network.backbone.channels)
        resized = [
            resize_pixels(one.image, fitted_size(one.image.shape[:2], self.settings.size, stride)) for one in batch
        ]
        found: dict[int, UInt8[np.ndarray, "h w"]] = {}
        for places in _alike([image.shape for image in resized]):
            scores = network(to_images([resized[place] for place in places], device))
            for place, of_one in zip(places, scores.split(1), strict=True):
                height, width = batch[place].image.shape[:2]
                answer = enlarge(of_one.float(), (height, width)).argmax(1)
                found[place] = answer[0].to(torch.uint8).cpu().numpy()
        return [found[place] for place in range(len(batch))]

    def score(self, predictions: Sequence[Any], truth: Iterable[LabelledImage], categories: Sequence[str]) -> MeanIou:
        """See `Task`."""
        return measure_iou(predictions, truth, categories)

    def _crops(
        self, network: Segmenter, batch: Sequence[LabelledImage], generator: np.random.Generator
    ) -> tuple[list[UInt8[np.ndarray, "s s 3"]], list[UInt8[np.ndarray, "s s"]]]:
        """A random crop of each image, and its classes."""
        settings = self.settings
        mean = (255 * network.backbone.mean).flatten().tolist()
        images, labels = [], []
        for one in batch:
            classes = labels_of(one, network.categories)
            square = draw_square(
                classes,
                generator,
                share=settings.crop / settings.size,
                scales=(settings.min_scale, settings.max_scale),
                flip=settings.flip,
                most=settings.most_of_one,
            )
            images.append(square.image(one.image, settings.crop, outside=mean))
            labels.append(square.labels(classes, settings.crop))
        return images, labels


def mean_cross_entropy(scores: Tensor, labels: Int64[Tensor, "b h w"], *, balance: float) -> Tensor:
    """The mean over the pixels that are not void of scores enlarged to the labels' size; 0 where all are void.

    A pixel weighs as the number of the batch's pixels of its class to the power `-balance`: at 0 all weigh the same, at
    1 all classes do.
    """
    whole = enlarge(scores.float(), (labels.shape[1], labels.shape[2]))
    counts = torch.bincount(labels.flatten(), minlength=VOID + 1)[: whole.shape[1]].float()
    weights = counts.clamp(min=1) ** -balance
    total = F.cross_entropy(whole, labels, weight=weights, ignore_index=VOID, reduction="sum")
    return total / (weights * counts).sum().clamp(min=torch.finfo(torch.float32).tiny)


def fitted_size(size: tuple[int, int], side: int, stride: int) -> tuple[int, int]:
    """A size (height, width) in nearly the same proportions, of multiples of `stride`, the shorter side near `side`."""
    scale = side / min(size)
    height, width = (max(round(edge * scale / stride), 1) * stride for edge in size)
    return height, width


def _alike(sizes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """The places of equal sizes, in groups."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, size in enumerate(sizes):
        groups.setdefault(size, []).append(place)
    return [*groups.values()]
