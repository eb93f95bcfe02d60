"""Masks from boxes: what SAM and those after it share, whichever network it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from bgdata.geometry import Box

# Boxes decoded in one call: some 1.5 GB of memory.
BOXES_AT_ONCE = 32

Corners = tuple[float, float, float, float] | Box


class MasksOfBoxes(ABC):
    """Photos and boxes in, the union of each photo's masks out: a photo is encoded once, its boxes are decoded."""

    def __init__(self, device: torch.device, *, threshold: float, batch: int, boxes_at_once: int) -> None:
        self._device = device
        self._threshold = threshold
        self._batch = batch
        self._boxes_at_once = boxes_at_once

    @abstractmethod
    def _encode(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Iterator[Any]:
        """Each image's features; float32 whatever the encoder computes in, as boxes are decoded in it."""

    @abstractmethod
    def _decode(
        self, features: Any, size: tuple[int, int], boxes: Sequence[Corners]
    ) -> tuple[Float32[Tensor, "n 1 _ _"], Float32[Tensor, " n"]]:
        """The best mask of each box, as logits of the network's own size, and its predicted IoU."""

    @abstractmethod
    def _at_full_size(self, logits: Float32[Tensor, "1 1 _ _"], size: tuple[int, int]) -> Float32[Tensor, "_ _"]:
        """A mask's logits at the size of its image."""

    def segment(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], boxes: Sequence[Sequence[Corners]]
    ) -> list[tuple[Bool[np.ndarray, "_ _"], list[float]]]:
        """For each RGB image the union of its boxes' masks, and the IoU that the network predicts for each of them.

        Boxes are xyxy in the image's pixels, at least one an image. Where the network gives three masks a box, the one
        with the best predicted IoU counts. Memory is bounded for any number of images and boxes.
        """
        answers = []
        for start in range(0, len(images), self._batch):
            batch = images[start : start + self._batch]
            for place, features in enumerate(self._encode(batch), start):
                answers.append(self._union(features, images[place], boxes[place]))
        return answers

    def _union(self, features: Any, image: np.ndarray, boxes: Sequence[Corners]) -> tuple[np.ndarray, list[float]]:
        size = (image.shape[0], image.shape[1])
        union = torch.zeros(size, dtype=torch.bool, device=self._device)
        scores: list[float] = []
        for start in range(0, len(boxes), self._boxes_at_once):
            logits, predicted = self._decode(features, size, boxes[start : start + self._boxes_at_once])
            scores += predicted.tolist()
            for low in logits[:, None]:  # one by one: a mask at the photo's size can be large
                union |= self._at_full_size(low, size) > self._threshold
        return union.cpu().numpy(), scores


def best_of(
    logits: Float32[Tensor, "n m _ _"], predicted: Float32[Tensor, "n m"]
) -> tuple[Float32[Tensor, "n 1 _ _"], Float32[Tensor, " n"]]:
    """Of each box's masks the one with the best predicted IoU, and that IoU."""
    best = predicted.argmax(1)
    each = torch.arange(len(best), device=best.device)
    return logits[each, best][:, None], predicted[each, best]
