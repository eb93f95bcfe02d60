"""SAM: masks from boxes. Its conventions (1024 pixels, padding, three masks a box) end in this file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from models.devices import resolve_device, resolve_precision
from models.segmenters.box_masks import BOXES_AT_ONCE, Corners, MasksOfBoxes
from models.segmenters.pretrained import load_published
from models.segmenters.settings import SamSettings

FILES = {"sam_vit_b": "sam_vit_b_01ec64.pth", "sam_vit_l": "sam_vit_l_0b3195.pth", "sam_vit_h": "sam_vit_h_4b8939.pth"}


class BoxMasks(MasksOfBoxes):
    """A built SAM: photos and boxes in, the union of each photo's masks out."""

    def __init__(
        self,
        sam: Sam,
        *,
        multimask: bool,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        boxes_at_once: int = BOXES_AT_ONCE,
    ) -> None:
        super().__init__(sam.device, threshold=sam.mask_threshold, batch=batch, boxes_at_once=boxes_at_once)
        self._sam = sam.eval()
        self._multimask = multimask
        self._precision = precision
        self._resize = ResizeLongestSide(sam.image_encoder.img_size)

    def _encode(self, images: Sequence[np.ndarray]) -> Iterator[Float32[Tensor, "1 _ _ _"]]:
        resized = [self._resize.apply_image(image) for image in images]
        with (
            torch.inference_mode(),
            torch.autocast(self._sam.device.type, torch.bfloat16, enabled=self._precision == torch.bfloat16),
        ):
            on_device = [torch.as_tensor(image, device=self._sam.device).permute(2, 0, 1) for image in resized]
            features = self._sam.image_encoder(torch.stack([self._sam.preprocess(image) for image in on_device]))
        yield from features.float()[:, None]

    @torch.inference_mode()
    def _decode(
        self, features: Tensor, size: tuple[int, int], boxes: Sequence[Corners]
    ) -> tuple[Float32[Tensor, "n m _ _"], Float32[Tensor, "n m"]]:
        scaled = torch.as_tensor(self._resize.apply_boxes(np.array(boxes, float), size), dtype=torch.float32)
        sparse, dense = self._sam.prompt_encoder(points=None, boxes=scaled.to(features.device), masks=None)
        logits, predicted = self._sam.mask_decoder(
            image_embeddings=features,
            image_pe=self._sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self._multimask,
        )  # n m h w, n m
        return logits, predicted

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
