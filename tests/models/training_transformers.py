"""A tiny stand-in of SAM 3 that has learned the scenes of `tiny_training`."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from transformers import (
    CLIPTokenizer,
    Sam3ImageProcessor,
)

from tests.models.tiny_training import PHRASES, SIDE, Scene, draw_scene, optimised

_PHOTOS = 2  # a step, each with both prompts


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
