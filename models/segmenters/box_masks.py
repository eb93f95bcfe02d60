"""Masks from boxes: what SAM and those after it share, whichever network it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from bgdata.geometry import Box
from models.segmenters.base import Candidate
from models.segmenters.candidates import candidates_of

# Boxes decoded in one call: some 1.5 GB of memory.
BOXES_AT_ONCE = 32

Corners = tuple[float, float, float, float] | Box


class MasksOfImage(NamedTuple):
    """The union of an image's boxes' masks, the predicted IoU of each, and the masks that could stand in its place."""

    union: Bool[np.ndarray, "_ _"]
    scores: list[float]
    candidates: tuple[Candidate, ...]


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
    ) -> tuple[Float32[Tensor, "n m _ _"], Float32[Tensor, "n m"]]:
        """The masks of each box, as logits of the network's own size, and their predicted IoU."""

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
        return [(answer.union, answer.scores) for answer in self.offer(images, boxes, count=0)]

    def offer(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], boxes: Sequence[Sequence[Corners]], *, count: int
    ) -> list[MasksOfImage]:
        """What `segment` gives, and for each image up to `count` candidates: the union, its largest piece, each box
        alone, then the other masks that the network gives a box.
        """
        answers = []
        for start in range(0, len(images), self._batch):
            batch = images[start : start + self._batch]
            for place, features in enumerate(self._encode(batch), start):
                answers.append(self._answer(features, images[place], boxes[place], count))
        return answers

    def _answer(self, features: Any, image: np.ndarray, boxes: Sequence[Corners], count: int) -> MasksOfImage:
        size = (image.shape[0], image.shape[1])
        union = torch.zeros(size, dtype=torch.bool, device=self._device)
        scores: list[float] = []
        alone: list[Candidate] = []
        others: list[Candidate] = []
        for start in range(0, len(boxes), self._boxes_at_once):
            logits, predicted = self._decode(features, size, boxes[start : start + self._boxes_at_once])
            for box, (lows, ious) in enumerate(zip(logits, predicted, strict=True), start + 1):
                best, *rest = ious.argsort(descending=True, stable=True).tolist()
                scores.append(float(ious[best]))
                mask = self._mask(lows[best], size)
                union |= mask
                if len(alone) < count:
                    alone.append(Candidate(mask.cpu().numpy(), f"box {box}", scores[-1]))
                for rank, place in enumerate(rest[: max(count - len(others), 0)], 2):
                    other = self._mask(lows[place], size).cpu().numpy()
                    others.append(Candidate(other, f"box {box}, mask {rank}", float(ious[place])))
        whole = union.cpu().numpy()
        score = scores[0] if len(scores) == 1 else None
        return MasksOfImage(whole, scores, candidates_of(whole, [*alone, *others], score=score, count=count))

    def _mask(self, logits: Float32[Tensor, "_ _"], size: tuple[int, int]) -> Bool[Tensor, "_ _"]:
        """One at a time: a mask at the photo's size can be large."""
        return self._at_full_size(logits[None, None], size) > self._threshold
