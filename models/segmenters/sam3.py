"""SAM 3: masks from text in one network. Its conventions (a square of 1008 pixels, presence) end in this file."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from transformers import CLIPTokenizer, Sam3ImageProcessor, Sam3Model
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

from bgdata.errors import InputError
from models.devices import autocast, resolve_device, resolve_precision
from models.segmenters.base import Candidate, Detection, Photo, Segmentation
from models.segmenters.candidates import candidates_of
from models.segmenters.folders import Marks, load_folder, load_vocabulary
from models.segmenters.keeping import kept_places, missing_reason
from models.segmenters.settings import Keep, Sam3Settings
from models.segmenters.text_boxes import plain_phrases

# Source: facebookresearch/sam3, as transformers' `Sam3Config` has it.
MARKS: Marks = {
    "vision_config.backbone_config.hidden_size": 1024,
    "vision_config.backbone_config.num_hidden_layers": 32,
    "vision_config.backbone_config.image_size": 1008,
    "text_config.hidden_size": 1024,
    "text_config.num_hidden_layers": 24,
    "detr_decoder_config.num_queries": 200,
}
# Phrases to remember: more than ImageNet has classes; 32 KB each.
_REMEMBERED = 2048


class _Text(NamedTuple):
    """Of one phrase: the tokens' features, and which of them are no padding."""

    features: Float32[Tensor, "1 t c"]
    given: Int64[Tensor, "1 t"]


@dataclass(frozen=True)
class _Objects:
    """What one phrase found in one image, in any order."""

    boxes: Float32[Tensor, "n 4"]
    scores: Float32[Tensor, " n"]
    masks: Float32[Tensor, "n _ _"]


class Sam3:
    """A built SAM 3 as a segmenter: each phrase of a photo's prompt is looked for by itself, what they find is pooled.

    Source: transformers 5.23.0, `Sam3Processor`, `Sam3Model` and `post_process_instance_segmentation`, whose objects
    these are; an image is encoded once for all its phrases, a phrase once for all images.
    """

    name = "sam3"

    def __init__(
        self,
        network: Sam3Model,
        tokenizer: CLIPTokenizer,
        *,
        score_threshold: float,
        mask_threshold: float,
        keep: Keep,
        min_overlap: float,
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        candidates: int = 0,
    ) -> None:
        self._network: Any = network.train(False)
        self._tokenizer = tokenizer
        self._score_threshold = score_threshold
        self._mask_threshold = mask_threshold
        self._keep: Keep = keep
        self._min_overlap = min_overlap
        self._precision = precision
        self._batch = batch
        self._candidates = candidates
        side = int(self._network.config.vision_config.backbone_config.image_size)
        self._longest_text = int(self._network.config.text_config.max_position_embeddings)
        self._processor = Sam3ImageProcessor(size={"height": side, "width": side})
        self._known: OrderedDict[str, _Text] = OrderedDict()

    def segment(self, photos: Sequence[Photo]) -> list[Segmentation]:
        """Segment what each photo's prompt names: the union of the objects that are kept; `score` is the best one's.

        Reasons: `no_prompt`, `no_detection`; for `best_overlapping` also `no_box` (annotated) and `no_overlap`.

        Raises InputError for a phrase that cannot be one.
        """
        answers = [Segmentation(None, reason=missing_reason(photo, ())) for photo in photos]
        asked = [place for place, photo in enumerate(photos) if photo.prompt]
        for start in range(0, len(asked), self._batch):
            places = asked[start : start + self._batch]
            encoded = self._encode([photos[place].image for place in places])
            for place, features in zip(places, encoded, strict=True):
                answers[place] = self._answer(photos[place], features)
        return answers

    def _answer(self, photo: Photo, features: Sam3VisionEncoderOutput) -> Segmentation:
        found: list[tuple[Detection, Tensor]] = []
        for phrase, asked_for in plain_phrases(photo.prompt).items():
            objects = self._find(features, self._read(phrase), photo.image.shape[:2])
            for box, score, mask in zip(objects.boxes, objects.scores, objects.masks, strict=True):
                found.append((Detection(tuple(box.tolist()), asked_for, float(score)), mask))
        found.sort(key=lambda each: -each[0].score)
        detections = tuple(detection for detection, _ in found)
        kept = kept_places(photo, detections, keep=self._keep, min_overlap=self._min_overlap)
        if not kept:
            return Segmentation(None, reason=missing_reason(photo, detections), detections=detections)
        size, score = photo.image.shape[:2], detections[kept[0]].score
        mask = self._union([found[place][1] for place in kept], size)
        alone = (
            Candidate(self._union([found[place][1]], size), f"box {number}", detections[place].score)
            for number, place in enumerate(kept, 1)
        )
        candidates = candidates_of(mask, alone, score=score, count=self._candidates)
        return Segmentation(mask, score, detections=detections, candidates=candidates)

    @torch.inference_mode()
    def _encode(self, images: Sequence[np.ndarray]) -> Iterator[Sam3VisionEncoderOutput]:
        """Each image's features; float32 whatever the encoder computes in, as objects are looked for in it."""
        pixels = torch.cat([self._squared(image) for image in images]).to(self._network.device)
        with autocast(self._network.device, self._precision):
            encoded = self._network.get_vision_features(pixel_values=pixels)
        levels = [level.float() for level in encoded.fpn_hidden_states]
        positions = [level.float().expand(len(images), -1, -1, -1) for level in encoded.fpn_position_encoding]
        for place in range(len(images)):
            yield Sam3VisionEncoderOutput(
                fpn_hidden_states=tuple(level[place : place + 1] for level in levels),
                fpn_position_encoding=tuple(level[place : place + 1] for level in positions),
            )

    def _squared(self, image: np.ndarray) -> Float32[Tensor, "1 3 _ _"]:
        return self._processor([image], input_data_format="channels_last", return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def _read(self, phrase: str) -> _Text:
        """A phrase's features, computed once."""
        if phrase not in self._known:
            text = self._tokenizer(phrase, padding="max_length", max_length=self._longest_text, return_tensors="pt")
            count = text["input_ids"].shape[1]
            if count > self._longest_text:
                raise InputError(
                    f"the phrase {phrase!r} has {count} tokens, and SAM 3 reads {self._longest_text}: ask for less"
                )
            ids, given = (text[name].to(self._network.device) for name in ("input_ids", "attention_mask"))
            features = self._network.get_text_features(input_ids=ids, attention_mask=given)
            self._known[phrase] = _Text(features.pooler_output, given)
        self._known.move_to_end(phrase)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[phrase]

    @torch.inference_mode()
    def _find(self, features: Sam3VisionEncoderOutput, text: _Text, size: tuple[int, int]) -> _Objects:
        """The objects above the score's threshold: boxes in the image's pixels, masks of the network's own size."""
        answer = self._network(
            vision_embeds=features,
            text_embeds=BaseModelOutputWithPooling(pooler_output=text.features),
            attention_mask=text.given,
        )
        scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0]
        above = scores > self._score_threshold
        height, width = size
        boxes = answer.pred_boxes[0, above].cpu() * torch.tensor([width, height, width, height])
        return _Objects(boxes, scores[above].cpu(), answer.pred_masks[0, above].sigmoid())

    @torch.inference_mode()
    def _union(self, masks: Sequence[Float32[Tensor, "_ _"]], size: tuple[int, int]) -> Bool[np.ndarray, "_ _"]:
        union = torch.zeros(size, dtype=torch.bool, device=self._network.device)
        for mask in masks:  # one by one: a mask at the photo's size can be large
            large = F.interpolate(mask[None, None], size, mode="bilinear", align_corners=False)[0, 0]
            union |= large > self._mask_threshold
        return union.cpu().numpy()


def load_sam3(weights: Path, settings: Sam3Settings, *, device: str, batch: int = 1, candidates: int = 0) -> Sam3:
    """The network of the folder `<weights>/<model>/`, with vocab.json and merges.txt in it.

    `batch`, photos encoded together, counts on CUDA alone: the CPU gains nothing from it, and needs more memory.
    `candidates`: so many masks a photo.

    Raises InputError where a file is missing, cut short or another network's.
    """
    folder = weights / settings.model
    tokenizer = load_vocabulary(folder, _read_tokenizer, files=("vocab.json", "merges.txt"), word="a")
    place = resolve_device(device)
    network = load_folder(Sam3Model, folder, marks=MARKS, device=place, of_video="sam3_video", part="detector_config")
    return Sam3(
        network,
        tokenizer,
        score_threshold=settings.score_threshold,
        mask_threshold=settings.mask_threshold,
        keep=settings.keep,
        min_overlap=settings.min_overlap,
        precision=resolve_precision(settings.precision, place),
        batch=batch if place.type == "cuda" else 1,
        candidates=candidates,
    )


def _read_tokenizer(folder: Path) -> CLIPTokenizer:
    # By the two files alone, whatever else lies there.
    return CLIPTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
