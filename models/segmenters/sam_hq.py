"""SAM-HQ: masks from boxes, with finer edges. Its conventions (1024 pixels, padding, early features) end here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import SamHQModel, SamImageProcessor

from models.devices import autocast, resolve_device, resolve_precision
from models.segmenters.box_masks import BOXES_AT_ONCE, Corners, MasksOfBoxes
from models.segmenters.folders import Marks, load_folder
from models.segmenters.settings import SamSettings

# Source: SysCV/sam-hq, whose encoders are SAM's own: channels, layers, layers that see all.
SIZES: dict[str, Marks] = {
    name: {
        "vision_config.hidden_size": channels,
        "vision_config.num_hidden_layers": layers,
        "vision_config.global_attn_indexes": seeing_all,
        "vision_config.image_size": 1024,
        "mask_decoder_config.vit_dim": channels,
    }
    for name, channels, layers, seeing_all in (
        ("sam_hq_vit_b", 768, 12, [2, 5, 8, 11]),
        ("sam_hq_vit_l", 1024, 24, [5, 11, 17, 23]),
        ("sam_hq_vit_h", 1280, 32, [7, 15, 23, 31]),
    )
}


class _Features(NamedTuple):
    """Of one image: the encoder's last features, and those of its first layer that sees all."""

    last: Float32[Tensor, "1 c _ _"]
    early: Float32[Tensor, "1 _ _ d"]


class SamHQBoxMasks(MasksOfBoxes):
    """A built SAM-HQ: photos and boxes in, the union of each photo's masks out.

    Source: transformers 5.23.0, `SamHQProcessor` and `SamHQModel`, whose masks these are (the best mask of SAM's head
    plus that of the finer one).
    """

    def __init__(
        self,
        sam: SamHQModel,
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
        side = self._side = int(self._sam.config.vision_config.image_size)
        self._processor: Any = SamImageProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side})

    @torch.inference_mode()
    def _encode(self, images: Sequence[np.ndarray]) -> Iterator[_Features]:
        pixels = torch.cat([self._padded(image) for image in images]).to(self._sam.device)
        with autocast(self._sam.device, self._precision):
            found = self._sam.vision_encoder(pixels)
        last, early = found.last_hidden_state.float(), found.intermediate_embeddings[0].float()
        for place in range(len(images)):
            yield _Features(last[place : place + 1], early[place : place + 1])

    def _padded(self, image: np.ndarray) -> Float32[Tensor, "1 3 _ _"]:
        return self._processor([image], input_data_format="channels_last", return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def _decode(
        self, features: _Features, size: tuple[int, int], boxes: Sequence[Corners]
    ) -> tuple[Float32[Tensor, "n m _ _"], Float32[Tensor, "n m"]]:
        height, width = size
        seen_height, seen_width = self._seen(size)
        scaled = np.array([tuple(box) for box in boxes], float) * ([seen_width / width, seen_height / height] * 2)
        answer = self._sam(
            image_embeddings=features.last,
            intermediate_embeddings=[features.early],
            input_boxes=torch.tensor(scaled, dtype=torch.float32, device=self._sam.device)[None],
            multimask_output=self._multimask,
        )
        return answer.pred_masks[0], answer.iou_scores[0]

    @torch.inference_mode()
    def _at_full_size(self, logits: Float32[Tensor, "1 1 _ _"], size: tuple[int, int]) -> Float32[Tensor, "_ _"]:
        return self._processor.post_process_masks([logits], [size], [self._seen(size)], binarize=False)[0][0, 0]

    def _seen(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) of the image within the padded square."""
        return self._processor._get_preprocess_shape(size, self._side)


def load_sam_hq(weights: Path, settings: SamSettings, *, device: str, batch: int = 1) -> SamHQBoxMasks:
    """The network of the folder `<weights>/<model>/`.

    `batch`, photos encoded together, counts on CUDA alone: the CPU gains nothing from it, and needs more memory.

    Raises InputError where a file is missing, cut short or another network's.
    """
    place = resolve_device(device)
    sam = load_folder(SamHQModel, weights / settings.model, marks=SIZES[settings.model], device=place)
    return SamHQBoxMasks(
        sam,
        multimask=settings.multimask,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
    )
