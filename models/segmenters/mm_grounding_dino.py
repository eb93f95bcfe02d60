"""MM-GroundingDINO: boxes from text. Its conventions (cxcywh, captions with dots, its own resizing) end here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor
from transformers import BertTokenizer, GroundingDinoImageProcessor, MMGroundingDinoForObjectDetection
from transformers.modeling_outputs import BaseModelOutput

from models.devices import resolve_device, resolve_precision
from models.segmenters.base import Detection
from models.segmenters.folders import Marks, load_folder
from models.segmenters.settings import GroundingDinoSettings
from models.segmenters.text_boxes import Thresholds, caption_of, choose_boxes, feature_places, find_phrases
from models.segmenters.text_encoder import BERT, TextEncoder, load_tokenizer

_SHORTER, _LONGEST = 800, 1333
# Source: open-mmlab/mmdetection, `configs/mm_grounding_dino`: the Swin's channels and blocks.
_SWINS = {"tiny": (96, [2, 2, 6, 2]), "base": (128, [2, 2, 18, 2]), "large": (192, [2, 2, 18, 2])}


def expected_marks(model: str) -> Marks:
    """What config.json must say of a model, by its name."""
    channels, blocks = _SWINS[model.removeprefix("mm_grounding_dino_").partition("_")[0]]
    return {
        "backbone_config.embed_dim": channels,
        "backbone_config.depths": blocks,
        "text_config.hidden_size": 768,
        "d_model": 256,
        "num_queries": 900,
    }


class RememberedText(TextEncoder):
    """The text encoder as MM-GroundingDINO calls it; each caption is computed once, in float32."""

    def forward(
        self,
        input_ids: Int64[Tensor, "b t"],
        attention_mask: Bool[Tensor, "b 1 t t"],
        token_type_ids: Int64[Tensor, "b t"],
        position_ids: Int64[Tensor, "b t"],
        return_dict: bool = True,  # noqa: ARG002  # the caller's
    ) -> BaseModelOutput:
        """The tokens' features; those of padding are zeros (nothing reads them)."""
        features = super().forward(input_ids, attention_mask[:, 0], token_type_ids, position_ids)
        return BaseModelOutput(last_hidden_state=features["last_hidden_state"])


class MMGroundingDino:
    """A built network with its thresholds: photos and phrases in, boxes in the photos' pixels out.

    The network's text encoder is replaced by one that remembers. Source: transformers 5.23.0,
    `GroundingDinoProcessor` and `MMGroundingDinoForObjectDetection`, whose boxes these are before those that overlap
    are dropped.
    """

    def __init__(
        self,
        network: MMGroundingDinoForObjectDetection,
        tokenizer: BertTokenizer,
        *,
        box_threshold: float,
        text_threshold: float,
        nms_iou: float,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        shorter: int = _SHORTER,
        longest: int = _LONGEST,
    ) -> None:
        self._network: Any = network.train(False)
        if not isinstance(network.model.text_backbone, RememberedText):
            network.model.text_backbone = RememberedText(network.model.text_backbone).eval()
        self._tokenizer = tokenizer
        self._thresholds = Thresholds(box=box_threshold, text=text_threshold, nms_iou=nms_iou)
        self._precision = precision
        self._batch = batch
        self._longest = longest
        self._processor = GroundingDinoImageProcessor(size={"shortest_edge": shorter, "longest_edge": longest})
        self._strides = _strides(network.config)

    def detect(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], prompts: Sequence[tuple[str, ...]]
    ) -> list[list[Detection]]:
        """The boxes of each RGB image that match its prompt's phrases, best first; they may jut out of the image.

        Phrases, thresholds and strips of images are as `GroundingDino.detect` has them. Images go through the network
        together only where they are resized to the same size: padding would change what it sees.

        Raises InputError for a prompt that cannot be one.
        """
        found: list[list[Detection]] = [[] for _ in images]
        for places, pixels in self._batches(images):
            chosen = [images[place].shape[:2] for place in places], [prompts[place] for place in places]
            for place, detections in zip(places, self._detect_batch(pixels, *chosen), strict=True):
                found[place] = detections
        return found

    def _batches(self, images: Sequence[np.ndarray]) -> Iterator[tuple[list[int], Float32[Tensor, "b 3 h w"]]]:
        alike: dict[tuple[int, ...], list[tuple[int, Tensor]]] = {}
        for place, image in enumerate(images):
            if max(image.shape[:2]) > self._longest * min(image.shape[:2]):
                continue  # nothing would be left of the shorter side
            pixels = self._processor([image], input_data_format="channels_last", return_tensors="pt")["pixel_values"]
            size = (pixels.shape[-2], pixels.shape[-1])
            if feature_places(size, self._strides) < self._network.config.num_queries:
                continue
            waiting = alike.setdefault(size, [])
            waiting.append((place, pixels))
            if len(waiting) == self._batch:
                yield _together(alike.pop(size))
        for waiting in alike.values():
            yield _together(waiting)

    def _detect_batch(
        self, pixels: Float32[Tensor, "b 3 h w"], sizes: Sequence[tuple[int, int]], prompts: Sequence[tuple[str, ...]]
    ) -> list[list[Detection]]:
        device = self._network.device
        phrases = [find_phrases(prompt, self._count_tokens) for prompt in prompts]
        text = self._tokenizer([caption_of(prompt) for prompt in prompts], padding=True, return_tensors="pt").to(device)
        with torch.inference_mode(), _features_in(self._precision, self._network):
            answers = self._network(
                pixel_values=pixels.to(device),
                input_ids=text["input_ids"],
                token_type_ids=text["token_type_ids"],
                attention_mask=text["attention_mask"],
            )
        matches, boxes = answers.logits.sigmoid().cpu(), answers.pred_boxes.cpu()  # b q t; b q 4, cxcywh as shares
        return [
            choose_boxes(*answer, thresholds=self._thresholds)
            for answer in zip(matches, boxes, sizes, phrases, strict=True)
        ]

    def _count_tokens(self, phrase: str) -> int:
        return len(self._tokenizer(phrase, add_special_tokens=False)["input_ids"])


def _together(waiting: Sequence[tuple[int, Tensor]]) -> tuple[list[int], Tensor]:
    return [place for place, _ in waiting], torch.cat([pixels for _, pixels in waiting])


def _strides(config: Any) -> list[int]:
    """How many pixels the features of each level lie apart: those of the Swin, then each twice the last."""
    strides = [2 ** (stage + 1) for stage in config.backbone_config.out_indices]
    while len(strides) < config.num_feature_levels:
        strides.append(2 * strides[-1])
    return strides


@contextmanager
def _features_in(precision: torch.dtype, network: MMGroundingDinoForObjectDetection) -> Iterator[None]:
    """Autocast where the time goes, up to the encoder's features; what chooses, refines and scores boxes is float32."""
    model = network.model
    parts = (model.backbone, *model.input_proj_vision, model.encoder) if precision == torch.bfloat16 else ()
    for part in parts:
        part.forward = torch.autocast(network.device.type, torch.bfloat16)(part.forward)
    hook = model.encoder.register_forward_hook(_in_float32)
    try:
        yield
    finally:
        hook.remove()
        for part in parts:
            del part.forward


def _in_float32(_: Any, __: Any, features: Any) -> Any:
    for name in ("last_hidden_state_vision", "last_hidden_state_text"):
        features[name] = features[name].float()
    return features


def load_mm_grounding_dino(
    weights: Path, settings: GroundingDinoSettings, *, device: str, batch: int = 1
) -> MMGroundingDino:
    """The network of the folder `<weights>/<model>/`, with the vocab.txt of `bert_base_uncased` beside it.

    `batch` counts on CUDA alone: the CPU gains nothing from batches, and needs more memory.

    Raises InputError where a file is missing, cut short or another network's.
    """
    folder = weights / settings.model
    place = resolve_device(device)
    network = load_folder(MMGroundingDinoForObjectDetection, folder, marks=expected_marks(settings.model), device=place)
    return MMGroundingDino(
        network,
        load_tokenizer(weights / BERT),
        box_threshold=settings.box_threshold,
        text_threshold=settings.text_threshold,
        nms_iou=settings.nms_iou,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
    )
