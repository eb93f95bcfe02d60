"""SAM: masks from boxes. Its conventions (1024 pixels, padding, three masks a box) end in this file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from bgdata.geometry import Box
from models.devices import resolve_device, resolve_precision
from models.segmenters.pretrained import load_published
from models.segmenters.settings import SamSettings

FILES = {"sam_vit_b": "sam_vit_b_01ec64.pth", "sam_vit_l": "sam_vit_l_0b3195.pth", "sam_vit_h": "sam_vit_h_4b8939.pth"}
# Boxes decoded in one call: some 1.5 GB of memory.
_BOXES_AT_ONCE = 32

Corners = tuple[float, float, float, float] | Box


class BoxMasks:
    """A built SAM: photos and boxes in, the union of each photo's masks out."""

    def __init__(
        self,
        sam: Sam,
        *,
        multimask: bool,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        boxes_at_once: int = _BOXES_AT_ONCE,
    ) -> None:
        self._sam = sam.eval()
        self._multimask = multimask
        self._precision = precision
        self._batch = batch
        self._boxes_at_once = boxes_at_once
        self._resize = ResizeLongestSide(sam.image_encoder.img_size)

    def segment(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], boxes: Sequence[Sequence[Corners]]
    ) -> list[tuple[Bool[np.ndarray, "_ _"], list[float]]]:
        """For each RGB image the union of its boxes' masks, and the IoU that SAM predicts for each of them.

        Boxes are xyxy in the image's pixels, at least one an image. Where SAM gives three masks a box, the one with the
        best predicted IoU counts. Memory is bounded for any number of images and boxes.
        """
        answers = []
        for start in range(0, len(images), self._batch):
            batch = images[start : start + self._batch]
            for place, features in enumerate(self._encode(batch), start):
                answers.append(self._union(features, images[place], boxes[place]))
        return answers

    def _encode(self, images: Sequence[np.ndarray]) -> Iterator[Float32[Tensor, "1 _ _ _"]]:
        """Each image's features; float32 whatever the encoder computes in, as boxes are decoded in it."""
        resized = [self._resize.apply_image(image) for image in images]
        with (
            torch.inference_mode(),
            torch.autocast(self._sam.device.type, torch.bfloat16, enabled=self._precision == torch.bfloat16),
        ):
            on_device = [torch.as_tensor(image, device=self._sam.device).permute(2, 0, 1) for image in resized]
            features = self._sam.image_encoder(torch.stack([self._sam.preprocess(image) for image in on_device]))
        yield from features.float()[:, None]

    def _union(self, features: Tensor, image: np.ndarray, boxes: Sequence[Corners]) -> tuple[np.ndarray, list[float]]:
        size = (image.shape[0], image.shape[1])
        union = torch.zeros(size, dtype=torch.bool, device=self._sam.device)
        scores: list[float] = []
        for start in range(0, len(boxes), self._boxes_at_once):
            logits, predicted = self._decode(features, size, boxes[start : start + self._boxes_at_once])
            scores += predicted.tolist()
            for low in logits[:, None]:  # one by one: a mask at the photo's size can be large
                union |= self._at_full_size(low, size) > self._sam.mask_threshold
        return union.cpu().numpy(), scores

    @torch.inference_mode()
    def _decode(
        self, features: Tensor, size: tuple[int, int], boxes: Sequence[Corners]
    ) -> tuple[Float32[Tensor, "n 1 _ _"], Float32[Tensor, " n"]]:
        """The best mask of each box, as logits at a quarter of the network's size, and its predicted IoU."""
        scaled = torch.as_tensor(self._resize.apply_boxes(np.array(boxes, float), size), dtype=torch.float32)
        sparse, dense = self._sam.prompt_encoder(points=None, boxes=scaled.to(features.device), masks=None)
        logits, predicted = self._sam.mask_decoder(
            image_embeddings=features,
            image_pe=self._sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self._multimask,
        )  # n m h w, n m
        best = predicted.argmax(1)
        each = torch.arange(len(best), device=best.device)
        return logits[each, best][:, None], predicted[each, best]

    @torch.inference_mode()
    def _at_full_size(self, logits: Float32[Tensor, "1 1 _ _"], size: tuple[int, int]) -> Float32[Tensor, "_ _"]:
        input_size = self._resize.get_preprocess_shape(*size, self._resize.target_length)
        return self._sam.postprocess_masks(logits, input_size, size)[0, 0]


def load_box_masks(weights: Path, settings: SamSettings, *, device: str, batch: int = 1) -> BoxMasks:
    """The network of the one file in `<weights>/<model>/`.

    `batch`, photos encoded together, counts on CUDA alone: the CPU gains nothing from it, and needs more memory.

    Raises InputError where the file is missing, cut short or another network's.
    """
    with torch.random.fork_rng(devices=[]):
        sam = sam_model_registry[settings.model.removeprefix("sam_")]()
    load_published(sam, weights / settings.model / FILES[settings.model])
    place = resolve_device(device)
    return BoxMasks(
        sam.to(place),
        multimask=settings.multimask,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
    )
