"""SAM 2.1: masks from boxes. Its conventions (a square of 1024 pixels, three levels of features) end in this file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Tensor
from transformers import Sam2ImageProcessor, Sam2Model

from models.devices import autocast, resolve_device, resolve_precision
from models.segmenters.box_masks import BOXES_AT_ONCE, Corners, MasksOfBoxes
from models.segmenters.folders import Marks, load_folder
from models.segmenters.settings import SamSettings

_BACKBONE = "vision_config.backbone_config"
# Source: facebookresearch/sam2, `configs/sam2.1`: blocks a stage, channels of the first stage, blocks that see all.
SIZES: dict[str, Marks] = {
    name: {
        f"{_BACKBONE}.blocks_per_stage": blocks,
        f"{_BACKBONE}.hidden_size": channels,
        f"{_BACKBONE}.global_attention_blocks": seeing_all,
        "prompt_encoder_config.image_size": 1024,
    }
    for name, blocks, channels, seeing_all in (
        ("sam2_1_hiera_tiny", [1, 2, 7, 2], 96, [5, 7, 9]),
        ("sam2_1_hiera_small", [1, 2, 11, 2], 96, [7, 10, 13]),
        ("sam2_1_hiera_base_plus", [2, 3, 16, 3], 112, [12, 16, 20]),
        ("sam2_1_hiera_large", [2, 6, 36, 4], 144, [23, 33, 43]),
    )
}

Levels = list[Float32[Tensor, "1 _ _ _"]]


class Sam2BoxMasks(MasksOfBoxes):
    """A built SAM 2: photos and boxes in, the union of each photo's masks out.

    Source: transformers 5.23.0, `Sam2Processor` and `Sam2Model`, whose masks these are.
    """

    def __init__(
        self,
        sam: Sam2Model,
        *,
        multimask: bool,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        boxes_at_once: int = BOXES_AT_ONCE,
    ) -> None:
        super().__init__(sam.device, threshold=0.0, batch=batch, boxes_at_once=boxes_at_once)
        self._sam: Any = sam.train(False)
        self._multimask = multimask
        self._precision = precision
        self._side = int(self._sam.config.prompt_encoder_config.image_size)
        self._processor = Sam2ImageProcessor(size={"height": self._side, "width": self._side})

    @torch.inference_mode()
    def _encode(self, images: Sequence[np.ndarray]) -> Iterator[Levels]:
        pixels = torch.cat([self._squared(image) for image in images]).to(self._sam.device)
        with autocast(self._sam.device, self._precision):
            levels = self._sam.get_image_embeddings(pixels)
        for place in range(len(images)):
            yield [level[place : place + 1].float() for level in levels]

    def _squared(self, image: np.ndarray) -> Float32[Tensor, "1 3 _ _"]:
        return self._processor([image], input_data_format="channels_last", return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def _decode(
        self, features: Levels, size: tuple[int, int], boxes: Sequence[Corners]
    ) -> tuple[Float32[Tensor, "n m _ _"], Float32[Tensor, "n m"]]:
        height, width = size
        corners = torch.tensor([tuple(box) for box in boxes], dtype=torch.float32)
        scaled = corners * torch.tensor([self._side / width, self._side / height] * 2)
        answer = self._sam(
            image_embeddings=features,
            input_boxes=scaled[None].to(self._sam.device),
            multimask_output=self._multimask,
        )
        return answer.pred_masks[0], answer.iou_scores[0]

    @torch.inference_mode()
    def _at_full_size(self, logits: Float32[Tensor, "1 1 _ _"], size: tuple[int, int]) -> Float32[Tensor, "_ _"]:
        return F.interpolate(logits, size, mode="bilinear", align_corners=False)[0, 0]


def load_sam2(weights: Path, settings: SamSettings, *, device: str, batch: int = 1) -> Sam2BoxMasks:
    """The network of the folder `<weights>/<model>/`.

    `batch`, photos encoded together, counts on CUDA alone: the CPU gains nothing from it, and needs more memory.

    Raises InputError where a file is missing, cut short or another network's.
    """
    place = resolve_device(device)
    sam = load_folder(
        Sam2Model, weights / settings.model, marks=SIZES[settings.model], device=place, of_video="sam2_video"
    )
    return Sam2BoxMasks(
        sam,
        multimask=settings.multimask,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
    )
