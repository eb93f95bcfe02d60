"""Classification of other images: a new linear layer on a backbone's pooled features."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.transfer_sets.base import LabelledImage
from models.training.augment import crop_and_flip
from models.transfer.backbones import FeatureNetwork, PooledBackbone
from models.transfer.batches import open_mix, to_images, torch_generator
from models.transfer.class_accuracy import METRICS, ClassAccuracy, label_of, measure_accuracy
from models.transfer.task_settings import ClassificationSettings


class LinearClassifier(nn.Module):
    """A backbone and a linear layer on its features: logits of images in [0, 1]."""

    def __init__(self, backbone: PooledBackbone, categories: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, categories)

    def forward(self, images: Float32[Tensor, "b 3 h w"]) -> Float32[Tensor, "b k"]:
        """Logits, `B K`."""
        return self.head(self.backbone(images))


class Classification:
    """Classification as a task: predictions are `{label, confidence}`; the score is accuracy."""

    name = "classification"
    metrics: tuple[str, ...] = METRICS

    def __init__(self, settings: ClassificationSettings) -> None:
        self.settings = settings
        self._mix = open_mix(settings.augment, in_place=False)

    def build(self, backbone: FeatureNetwork, categories: int) -> LinearClassifier:
        """See `Task`; raises InputError where the backbone gives maps instead of features."""
        if not isinstance(backbone, PooledBackbone):
            raise InputError("classification stands on pooled features, and this backbone gives maps: load it pooled")
        return LinearClassifier(backbone, categories)

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        """See `Task`: cross-entropy of random resized crops (there: shifts by up to 4 pixels, at one size)."""
        assert isinstance(network, LinearClassifier)
        labels = torch.tensor([label_of(one, network.head.out_features) for one in batch], device=device)
        settings = self.settings
        cropped = crop_and_flip(
            self._images(batch, device), torch_generator(generator), crop_scale=settings.crop_scale, flip=settings.flip
        )
        return {"classification": F.cross_entropy(network(self._mix(cropped, generator)).float(), labels)}

    @torch.inference_mode()
    def predict(
        self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device
    ) -> list[dict[str, Any]]:
        """See `Task`."""
        chances, labels = network(self._images(batch, device)).float().softmax(1).max(1)
        return [
            {"label": label, "confidence": chance}
            for label, chance in zip(labels.tolist(), chances.tolist(), strict=True)
        ]

    def score(
        self, predictions: Sequence[Any], truth: Iterable[LabelledImage], categories: Sequence[str]
    ) -> ClassAccuracy:
        """See `Task`."""
        return measure_accuracy(predictions, truth, categories)

    def _images(self, batch: Sequence[LabelledImage], device: torch.device) -> Float32[Tensor, "b 3 s s"]:
        """Images squeezed into squares."""
        size = self.settings.size
        return to_images([resize_pixels(one.image, (size, size)) for one in batch], device)
