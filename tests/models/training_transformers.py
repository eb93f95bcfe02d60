"""Tiny stand-ins of MM-GroundingDINO and SAM 3 that have learned the scenes of `tiny_training`."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import BertTokenizer, CLIPTokenizer, GroundingDinoImageProcessor, Sam3ImageProcessor

from models.segmenters.text_boxes import caption_of
from tests.models.tiny_training import PHRASES, SIDE, Scene, detection_loss, draw_scene, optimised

# A step, each with both prompts.
_PHOTOS_TO_DETECT, _PHOTOS = 4, 2


def train_mm_grounding_dino(
    network: nn.Module, tokenizer: BertTokenizer, *, steps: int = 150, seed: int = 0
) -> nn.Module:
    """Every query whose centre lies in the named object learns its box and its words; each scene asks for both."""
    network.model.text_backbone.requires_grad_(False)
    rng = np.random.default_rng(seed)
    processor = GroundingDinoImageProcessor(size={"shortest_edge": SIDE, "longest_edge": SIDE})
    text = tokenizer([caption_of((phrase,)) for phrase in PHRASES] * _PHOTOS_TO_DETECT, return_tensors="pt")
    for step in optimised([value for value in network.parameters() if value.requires_grad], steps):
        scenes = [draw_scene(rng) for _ in range(_PHOTOS_TO_DETECT)]
        pixels = processor([scene.image for scene in scenes], return_tensors="pt")["pixel_values"]
        answers = network(pixel_values=pixels.repeat_interleave(2, 0), **text)
        found = {"pred_boxes": answers.pred_boxes, "pred_logits": answers.logits}
        step(detection_loss(found, torch.cat([scene.boxes for scene in scenes]) / SIDE))
    return network.eval()


def train_sam3(network: nn.Module, tokenizer: CLIPTokenizer, *, steps: int = 250, seed: int = 2) -> nn.Module:
    """Every query learns the box and the mask of the object that the text names."""
    rng = np.random.default_rng(seed)
    side = network.config.vision_config.backbone_config.image_size
    processor = Sam3ImageProcessor(size={"height": side, "width": side})
    text = tokenizer([*PHRASES] * _PHOTOS, padding="max_length", max_length=32, return_tensors="pt")
    for step in optimised(list(network.parameters()), steps):
        scenes = [draw_scene(rng) for _ in range(_PHOTOS)]
        pixels = processor([scene.image for scene in scenes], return_tensors="pt")["pixel_values"]
        answers = network(pixel_values=pixels.repeat_interleave(2, 0), **text)
        truth = torch.cat([_masks(scene, answers.pred_masks.shape[-2:]) for scene in scenes])
        boxes = torch.cat([scene.boxes for scene in scenes]) / SIDE
        step(
            _mask_loss(answers.pred_masks, truth[:, None].expand_as(answers.pred_masks))
            + 5 * (answers.pred_boxes - boxes[:, None]).abs().mean()
            + F.softplus(-answers.pred_logits).mean()
            + F.softplus(-answers.presence_logits).mean()
        )
    return network.eval()


def _masks(scene: Scene, size: tuple[int, int]) -> Tensor:
    return F.interpolate(torch.from_numpy(np.stack(scene.masks)).float()[:, None], size, mode="area")[:, 0]


def _mask_loss(logits: Tensor, truth: Tensor) -> Tensor:
    shares = logits.sigmoid()
    dice = (2 * (shares * truth).sum((-2, -1)) + 1) / (shares.sum((-2, -1)) + truth.sum((-2, -1)) + 1)
    return 5 * F.binary_cross_entropy_with_logits(logits, truth) + (1 - dice).mean()
