"""Tiny stand-ins that have learned: text to box, and box to mask, on drawn scenes of a red circle and a blue square."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torchvision.ops import box_convert, generalized_box_iou, sigmoid_focal_loss

from models.segmenters.grounding_dino import caption_of, prepare_image
from models.segmenters.grounding_dino_network import quietly
from tests.models.tiny_networks import quieten_text

SIDE = 96
PHRASES = ("red circle", "blue square")
# The tokens of both captions: [CLS], two words, a dot, [SEP].
_WORDS = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0])
_PHOTOS = 2  # a step, each with both prompts
_SAM_PHOTOS = 4


@dataclass(frozen=True)
class Scene:
    """An image and the masks of its circle and its square, one of them left, one right."""

    image: np.ndarray
    masks: tuple[np.ndarray, np.ndarray]

    @property
    def boxes(self) -> Tensor:
        return torch.tensor([box_of(mask) for mask in self.masks], dtype=torch.float32)


def draw_scene(rng: np.random.Generator) -> Scene:
    image = (int(rng.integers(60, 200)) + rng.integers(0, 20, (SIDE, SIDE, 3))).astype(np.uint8)
    circle, square = np.zeros((2, SIDE, SIDE), np.uint8)
    for mask, half in zip((circle, square), rng.permutation(2), strict=True):
        radius = int(rng.integers(11, 17))
        x = int(rng.integers(radius + 2, SIDE // 2 - radius - 1)) + SIDE // 2 * int(half)
        y = int(rng.integers(radius + 2, SIDE - radius - 2))
        if mask is circle:
            cv2.circle(mask, (x, y), radius, 1, -1)
        else:
            cv2.rectangle(mask, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
    image[circle > 0], image[square > 0] = (220, 30, 30), (30, 30, 220)
    return Scene(image, (circle > 0, square > 0))


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, x + width, y + height


def train_grounding_dino(network: nn.Module, *, steps: int = 150, seed: int = 0) -> nn.Module:
    """Every query whose centre lies in the named object learns its box and its words; each scene asks for both."""
    network.bert.requires_grad_(False)
    quieten_text(network, 0.05)
    rng = np.random.default_rng(seed)
    captions = [caption_of((phrase,)) for phrase in PHRASES] * _PHOTOS
    for step in optimised([value for value in network.parameters() if value.requires_grad], steps):
        scenes = [draw_scene(rng) for _ in range(_PHOTOS)]
        images = torch.stack([prepare_image(scene.image, SIDE, SIDE) for scene in scenes]).repeat_interleave(2, 0)
        with quietly():
            answers = network(images, captions=captions)
        step(detection_loss(answers, torch.cat([scene.boxes for scene in scenes]) / SIDE))
    return network.eval()


def train_sam(sam: Sam, *, steps: int = 200, seed: int = 1) -> Sam:
    """Both objects of a scene from boxes that are off by up to 30 % of their sides."""
    rng = np.random.default_rng(seed)
    for step in optimised(list(sam.parameters()), steps):
        scenes = [draw_scene(rng) for _ in range(_SAM_PHOTOS)]
        pixels = torch.stack([sam.preprocess(torch.from_numpy(scene.image).permute(2, 0, 1)) for scene in scenes])
        losses = [
            _mask_loss(sam, features[None], loosened(scene.boxes, rng), scene)
            for features, scene in zip(sam.image_encoder(pixels), scenes, strict=True)
        ]
        step(torch.stack(losses).mean())
    return sam.eval()


def loosened(boxes: Tensor, rng: np.random.Generator) -> Tensor:
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    return (boxes + torch.from_numpy(rng.uniform(-0.3, 0.3, boxes.shape)).float() * sides).clamp(0, SIDE)


def optimised(parameters: list[Tensor], steps: int) -> Iterator[Callable[[Tensor], None]]:
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps, pct_start=0.2)

    def step(loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 10.0)
        optimiser.step()
        schedule.step()

    for _ in range(steps):
        yield step


def detection_loss(answers: dict[str, Tensor], targets: Tensor) -> Tensor:
    boxes, logits = answers["pred_boxes"], answers["pred_logits"][..., : len(_WORDS)]
    centres = boxes[..., :2].detach()
    inside = ((centres > targets[:, None, :2]) & (centres < targets[:, None, 2:])).all(-1)  # b q
    matches = sigmoid_focal_loss(logits, inside[..., None] * _WORDS, alpha=-1, reduction="sum")
    photo, query = inside.nonzero(as_tuple=True)
    found, wanted = box_convert(boxes, "cxcywh", "xyxy")[photo, query], targets[photo]
    count = max(len(photo), 1)
    away = 5 * (found - wanted).abs().sum() + (1 - generalized_box_iou(found, wanted).diagonal()).sum()
    return (matches / 2 + away) / count


def _mask_loss(sam: Sam, features: Tensor, boxes: Tensor, scene: Scene) -> Tensor:
    sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
    position = sam.prompt_encoder.get_dense_pe()
    logits, predicted = sam.mask_decoder(features, position, sparse, dense, multimask_output=False)  # 2 1 h w, 2 1
    truth = torch.from_numpy(np.stack(scene.masks)).float()[:, None]
    truth = F.interpolate(truth, logits.shape[-2:], mode="area")
    shares = logits.sigmoid()
    dice = (2 * (shares * truth).sum((2, 3)) + 1) / (shares.sum((2, 3)) + truth.sum((2, 3)) + 1)
    found, real = logits > 0, truth > 0.5
    iou = (found & real).sum((2, 3)) / (found | real).sum((2, 3)).clamp(min=1)
    return 5 * F.binary_cross_entropy_with_logits(logits, truth) + (1 - dice).mean() + F.mse_loss(predicted, iou)
