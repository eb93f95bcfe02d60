"""The U-Net student as a segmenter: it asks for neither box nor text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32

from bgdata.geometry import resize_pixels
from models.devices import exact_arithmetic, resolve_device, resolve_precision
from models.segmenters.base import Photo, Segmentation
from models.unet.checkpoints import read_unet
from models.unet.network import UNet, foreground_probability

# A batch brings a CPU little: 20 ms a photo in eights for 24 ms one by one, at 256 px in bfloat16.
_BATCH = {"cpu": 1, "cuda": 16}


@dataclass(frozen=True)
class UNetSegmenter:
    """A trained U-Net in evaluation mode; a pixel is foreground where its probability is at least `threshold`.

    Photos are squeezed into squares, and the probabilities stretched back. Each pass of the network takes exactly
    `batch` squares, black ones fill it up: kernels are chosen by the batch's size, and a photo's last bits would depend
    on its company. `score` is the mean probability over the mask, None where the mask is empty.
    """

    unet: UNet
    threshold: float
    precision: torch.dtype
    batch: int = 1
    name: str = "unet"

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment photos; each gets a mask, which may be empty."""
        answers = []
        for start in range(0, len(photos), self.batch):
            chunk = photos[start : start + self.batch]
            found = self._probabilities(chunk)
            answers += [self._answer(photo, one) for photo, one in zip(chunk, found, strict=False)]
        return answers

    def _probabilities(self, photos: Sequence[Photo]) -> Float32[np.ndarray, "b s s"]:
        side = self.unet.size
        squares = np.zeros((self.batch, side, side, 3), np.uint8)
        for square, photo in zip(squares, photos, strict=False):
            square[:] = resize_pixels(photo.image, (side, side))
        with exact_arithmetic():
            return foreground_probability(self.unet, torch.from_numpy(squares), precision=self.precision).numpy()

    def _answer(self, photo: Photo, probability: Float32[np.ndarray, "s s"]) -> Segmentation:
        height, width = photo.image.shape[:2]
        stretched = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
        mask = stretched >= self.threshold
        return Segmentation(mask, score=float(stretched[mask].mean()) if mask.any() else None)


def load_unet(checkpoint: Path, *, device: str, precision: str = "auto") -> UNetSegmenter:
    """The segmenter of a checkpoint that the train_unet stage wrote; device and precision as in the settings.

    Raises InputError where the file is missing, broken, holds code, or is another program's.
    """
    unet, record = read_unet(checkpoint)
    place = resolve_device(device)
    return UNetSegmenter(
        unet.to(place), record["threshold"], resolve_precision(precision, place), batch=_BATCH[place.type]
    )
