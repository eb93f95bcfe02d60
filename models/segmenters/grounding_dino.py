"""GroundingDINO: boxes from text. Its conventions (cxcywh, captions with dots, its own resizing) end in this file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from models.devices import resolve_device, resolve_precision
from models.segmenters.base import Detection
from models.segmenters.grounding_dino_network import CONFIGS, GroundingDINO, build_network, quietly
from models.segmenters.pretrained import load_published
from models.segmenters.settings import GroundingDinoSettings
from models.segmenters.text_boxes import Thresholds, caption_of, choose_boxes, feature_places, find_phrases
from models.segmenters.text_encoder import BERT

# In the published checkpoints, and read by nothing: a part for training, and numbers that transformers counts anew.
_UNNEEDED = ("label_enc.weight", "bert.embeddings.position_ids")
# As in the package's `load_image`; ImageNet's statistics.
_SHORTER, _LONGEST = 800, 1333
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class GroundingDino:
    """A built network with its thresholds: photos and phrases in, boxes in the photos' pixels out."""

    def __init__(
        self,
        network: GroundingDINO,
        *,
        box_threshold: float,
        text_threshold: float,
        nms_iou: float,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        shorter: int = _SHORTER,
        longest: int = _LONGEST,
    ) -> None:
        self._network = network.eval()
        self._device = next(network.parameters()).device
        self._thresholds = Thresholds(box=box_threshold, text=text_threshold, nms_iou=nms_iou)
        self._precision = precision
        self._batch = batch
        self._sides = shorter, longest

    def detect(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], prompts: Sequence[tuple[str, ...]]
    ) -> list[list[Detection]]:
        """The boxes of each RGB image that match its prompt's phrases, best first; they may jut out of the image.

        `phrase` is every phrase of the prompt, as it was asked for, with a token above the text threshold, joined by
        commas; empty where there is none (the box threshold alone decides on boxes). Images go through the network
        together only where they are resized to the same size: padding would change what it sees. A strip of an image
        (more than some 40 times as long as wide) has no box: it gives fewer features than the network chooses boxes
        from.

        Raises InputError for a prompt that cannot be one.
        """
        found: list[list[Detection]] = [[] for _ in images]
        for places in self._batches([image.shape[:2] for image in images]):
            chosen = [images[place] for place in places], [prompts[place] for place in places]
            for place, detections in zip(places, self._detect_batch(*chosen), strict=True):
                found[place] = detections
        return found

    def _batches(self, sizes: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
        alike: dict[tuple[int, int], list[int]] = {}
        for place, size in enumerate(sizes):
            alike.setdefault(resized_size(size, *self._sides), []).append(place)
        for size, places in alike.items():
            if feature_places(size) < self._network.num_queries:
                continue
            for start in range(0, len(places), self._batch):
                yield places[start : start + self._batch]

    def _detect_batch(self, images: Sequence[np.ndarray], prompts: Sequence[tuple[str, ...]]) -> list[list[Detection]]:
        captions = [caption_of(prompt) for prompt in prompts]
        phrases = [find_phrases(prompt, self._count_tokens) for prompt in prompts]
        pixels = torch.stack([prepare_image(image, *self._sides) for image in images]).to(self._device)
        with quietly(), torch.inference_mode(), _features_in(self._precision, self._network):
            answers = self._network(pixels, captions=captions)
        matches = answers["pred_logits"].sigmoid().cpu()  # b q t
        boxes = answers["pred_boxes"].cpu()  # b q 4, cxcywh as shares
        return [
            choose_boxes(found, corners, image.shape[:2], names, thresholds=self._thresholds)
            for found, corners, image, names in zip(matches, boxes, images, phrases, strict=True)
        ]

    def _count_tokens(self, phrase: str) -> int:
        return len(self._network.tokenizer(phrase, add_special_tokens=False)["input_ids"])


@contextmanager
def _features_in(precision: torch.dtype, network: GroundingDINO) -> Iterator[None]:
    """Autocast where the time goes, up to the encoder's features; what chooses, refines and scores boxes is float32."""
    encoder = network.transformer.encoder
    parts = (network.backbone, *network.input_proj, encoder) if precision == torch.bfloat16 else ()
    for part in parts:
        part.forward = torch.autocast(next(part.parameters()).device.type, torch.bfloat16)(part.forward)
    hook = encoder.register_forward_hook(lambda _, __, features: tuple(feature.float() for feature in features))
    try:
        yield
    finally:
        hook.remove()
        for part in parts:
            del part.forward


def resized_size(size: tuple[int, int], shorter: int = _SHORTER, longest: int = _LONGEST) -> tuple[int, int]:
    """The (height, width) that GroundingDINO sees: `shorter` on the shorter side, at most `longest` on the other.

    Source: groundingdino-py 0.4.0, `datasets/transforms.py`, rounding included; but no side falls below one pixel.
    """
    least, most = float(min(size)), float(max(size))
    side = round(longest * least / most) if most / least * shorter > longest else shorter
    height, width = size
    if (width <= height and width == side) or (height <= width and height == side):
        return height, width
    resized = (int(side * height / width), side) if width < height else (side, int(side * width / height))
    return max(resized[0], 1), max(resized[1], 1)


def prepare_image(
    image: UInt8[np.ndarray, "_ _ 3"], shorter: int = _SHORTER, longest: int = _LONGEST
) -> Float32[Tensor, "3 _ _"]:
    """An RGB image resized by PIL and normalised, pixel for pixel as the package's `load_image` does."""
    size = resized_size((image.shape[0], image.shape[1]), shorter, longest)
    resized = F.resize(Image.fromarray(image), list(size))
    return F.normalize(F.to_tensor(resized), _MEAN, _STD)


def load_grounding_dino(
    weights: Path, settings: GroundingDinoSettings, *, device: str, batch: int = 1
) -> GroundingDino:
    """The network of `<weights>/<model>/<model>.pth` and the folder `bert_base_uncased` beside it; no hub is asked.

    `batch` counts on CUDA alone: the CPU gains nothing from batches, and needs more memory.

    Raises InputError where a file is missing, cut short or another network's.
    """
    network = build_network(CONFIGS[settings.model], weights / BERT)
    path = weights / settings.model / f"{settings.model}.pth"
    load_published(network, path, under="model", unneeded=_UNNEEDED)
    place = resolve_device(device)
    return GroundingDino(
        network.to(place),
        box_threshold=settings.box_threshold,
        text_threshold=settings.text_threshold,
        nms_iou=settings.nms_iou,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
    )
