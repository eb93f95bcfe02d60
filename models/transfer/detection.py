"""Detection and instance segmentation: Mask R-CNN on a feature pyramid of any backbone.

Source: He et al. 2017 and Lin et al. 2017 (feature pyramids), in torchvision's implementation, whose defaults are
mmdetection's `mask_rcnn_*_fpn` but for what its documentation says.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from bgdata.errors import InputError
from bgdata.masks.rle import encode_rle
from bgdata.transfer_sets.base import LabelledImage
from models.transfer.average_precision import METRICS, AveragePrecision, measure
from models.transfer.backbones import Backbone, FeatureNetwork
from models.transfer.batches import open_mix
from models.transfer.task_settings import DetectionSettings

_BOX_PLACES, _MASK_PLACES = 7, 14
# Three: torchvision's and mmdetection's.
_ASPECTS = (0.5, 1.0, 2.0)
_SIZES_OF_JITTER = 5


class Pyramid(nn.Module):
    """A backbone's maps and one that is coarser, all of `out_channels`; the names are torchvision's, in text."""

    def __init__(self, backbone: Backbone, channels: int) -> None:
        super().__init__()
        self.body = backbone
        self.fpn = FeaturePyramidNetwork([*backbone.channels.values()], channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Maps by stride, the finest first, then `pool`."""
        return {str(name): found for name, found in self.fpn(self.body(images)).items()}


class Detection:
    """Mask R-CNN as a task: predictions are COCO's results of an image, scores are box and mask AP."""

    name = "detection"
    metrics: tuple[str, ...] = METRICS

    def __init__(self, settings: DetectionSettings) -> None:
        self.settings = settings
        self._mix = open_mix(settings.augment, in_place=True)

    def build(self, backbone: FeatureNetwork, categories: int) -> nn.Module:
        """See `Task`; raises InputError where the backbone gives no maps."""
        if not isinstance(backbone, Backbone):
            raise InputError("detection stands on feature maps, and this backbone has none: take another backbone")
        settings, channels = self.settings, self.settings.channels
        strides = [*backbone.channels]
        names = [str(stride) for stride in strides]
        sides = tuple((round(settings.anchor * stride),) for stride in (*strides, 2 * strides[-1]))
        # Which map a box is pooled from: at 8 strides an anchor, what Lin et al. take.
        pooling: dict[str, Any] = {
            "featmap_names": names,
            "sampling_ratio": settings.sampling,
            "canonical_scale": round(28 * settings.anchor),
        }
        classes = categories + 1  # 0 is torchvision's background
        return MaskRCNN(
            Pyramid(backbone, channels),
            min_size=self._sizes(),
            max_size=settings.max_size,
            image_mean=[0.0] * 3,  # the backbone normalises
            image_std=[1.0] * 3,
            size_divisible=max(strides),
            rpn_anchor_generator=AnchorGenerator(sides, (_ASPECTS,) * len(sides)),
            rpn_pre_nms_top_n_train=settings.proposals,
            rpn_pre_nms_top_n_test=(settings.proposals + 1) // 2,
            rpn_post_nms_top_n_train=settings.proposals,
            rpn_post_nms_top_n_test=(settings.proposals + 1) // 2,
            rpn_batch_size_per_image=settings.samples // 2,
            box_roi_pool=MultiScaleRoIAlign(output_size=_BOX_PLACES, **pooling),
            box_head=TwoMLPHead(channels * _BOX_PLACES**2, settings.hidden),
            box_predictor=FastRCNNPredictor(settings.hidden, classes),
            box_batch_size_per_image=settings.samples,
            box_score_thresh=settings.score,
            box_detections_per_img=settings.detections,
            mask_roi_pool=MultiScaleRoIAlign(output_size=_MASK_PLACES, **pooling),
            mask_head=MaskRCNNHeads(channels, (channels,) * settings.mask_layers, 1),
            mask_predictor=MaskRCNNPredictor(channels, channels, classes),
        )

    def losses(
        self,
        network: nn.Module,
        batch: Sequence[LabelledImage],
        *,
        device: torch.device,
        generator: np.random.Generator,
    ) -> dict[str, Tensor]:
        """See `Task`. Crowds teach nothing; sizes are drawn by torchvision, from torch's global generator.

        Images are augmented one by one, in their own sizes.
        """
        mirrored = [self.settings.flip and bool(generator.random() < 0.5) for _ in batch]
        images = [_image(one, device, mirrored=turned) for one, turned in zip(batch, mirrored, strict=True)]
        targets = [_target(one, device, mirrored=turned) for one, turned in zip(batch, mirrored, strict=True)]
        return network([self._mix(image[None], generator)[0] for image in images], targets)

    @torch.inference_mode()
    def predict(
        self, network: nn.Module, batch: Sequence[LabelledImage], *, device: torch.device
    ) -> list[list[dict[str, Any]]]:
        """See `Task`: of each image COCO's results without `image_id`, the surest first."""
        found = network([_image(one, device, mirrored=False) for one in batch])
        return [_results(one) for one in found]

    def score(
        self, predictions: Sequence[Any], truth: Iterable[LabelledImage], categories: Sequence[str]
    ) -> AveragePrecision:
        """See `Task`."""
        return measure(predictions, truth, categories)

    def _sizes(self) -> tuple[int, ...]:
        """Those that torchvision draws from in training; the last one is that of evaluation."""
        settings = self.settings
        if not settings.jitter:
            return (settings.size,)
        shares = np.linspace(1 - settings.jitter, 1 + settings.jitter, _SIZES_OF_JITTER)
        drawn = {round(settings.size * share) for share in shares.tolist()}
        return (*sorted(drawn - {settings.size}), settings.size)


def _image(one: LabelledImage, device: torch.device, *, mirrored: bool) -> Tensor:
    """`3 h w` in [0, 1]."""
    pixels = one.image[:, ::-1] if mirrored else one.image
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1).float() / 255


def _target(one: LabelledImage, device: torch.device, *, mirrored: bool) -> dict[str, Tensor]:
    """torchvision's: boxes xyxy, labels from 1, masks; crowds and boxes without area are left out."""
    height, width = one.image.shape[:2]
    kept = [each for each in one.instances if not each.crowd and _has_area(each.box)]
    boxes = np.array([each.box for each in kept], np.float32).reshape(-1, 4)
    masks = np.array([each.mask for each in kept], bool).reshape(-1, height, width)
    if mirrored:
        boxes, masks = boxes[:, [2, 1, 0, 3]], masks[..., ::-1]
        boxes[:, [0, 2]] = width - boxes[:, [0, 2]]
    target = {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.tensor([each.label + 1 for each in kept], dtype=torch.int64),
        "masks": torch.from_numpy(masks.copy()).to(torch.uint8),
    }
    return {name: value.to(device) for name, value in target.items()}


def _has_area(box: tuple[float, float, float, float]) -> bool:
    x0, y0, x1, y1 = box
    return x1 > x0 and y1 > y0


def _results(found: dict[str, Tensor]) -> list[dict[str, Any]]:
    boxes, scores = found["boxes"].double().cpu().tolist(), found["scores"].double().cpu().tolist()
    masks = (found["masks"][:, 0] > 0.5).cpu().numpy()
    return [
        {
            "category_id": label,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": score,
            "segmentation": encode_rle(mask),
        }
        for label, (x0, y0, x1, y1), score, mask in zip(found["labels"].tolist(), boxes, scores, masks, strict=True)
    ]
