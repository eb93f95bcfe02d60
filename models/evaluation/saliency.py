"""Where in a photo a classifier finds its evidence: attribution maps, and the share of them on the foreground.

The maps explain the logit of the true class, so that a photo and the same foreground on another background are asked
the same question.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam, Saliency
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Tensor, nn

from bgdata.classes import ClassList, check_same
from bgdata.compose.names import FG_MASK
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_packed_masks, load_pixels
from bgdata.randomness import seeded_order
from bgdata.shards import Row
from models.classifiers.judged import Judged
from models.devices import exact_arithmetic
from models.evaluation.accuracy import classes_of, image_batches, labels_of

VARIANTS = ("original", "mixed_rand")
SETS_READ = (*VARIANTS, FG_MASK)
# Images in a pass: a constant, so that the maps do not depend on the machine's memory.
BATCH = 16
# The smallest map that still tells places apart: a network at 64 pixels ends in 2x2.
_LEAST_SIDE = 4

Attribute = Callable[[Judged, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pairs:
    """The same photos as they are and on a random background (`images`, by variant), their foregrounds' masks,
    and the labels' list.
    """

    ids: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    images: Mapping[str, UInt8[np.ndarray, "n h w 3"]]
    masks: Bool[np.ndarray, "n h w"]
    class_list: ClassList


def open_pairs(
    sources: Mapping[str, ImageSource],
    *,
    split: str,
    per_class: int | None,
    seed: int,
    workers: int,
    cache: Path | None = None,
) -> Pairs:
    """A seeded choice of each class's photos (None: all) that `original`, `mixed_rand` and `fg_mask` have, decoded;
    in the order of the choice, so that the first few are a choice too. With a `cache`, the sets are taken from arrays
    there, a folder a set, which are decoded once for all judges.

    Raises InputError where there is none, or the sets have different lists of classes.
    """
    class_list = classes_of(sources[name] for name in SETS_READ)
    common = set.intersection(*({row.id for row in sources[name].split(split)} for name in SETS_READ))
    rows = [row for row in sources[FG_MASK].split(split) if row.id in common]
    if not rows:
        raise InputError(f"no photo of {split} is in all of {', '.join(SETS_READ)}: render the sets again")
    order = seeded_order(seed, [row.id for row in rows], "saliency")
    by_label: list[list[Row]] = [[] for _ in range(len(class_list))]
    for place in order:
        by_label[rows[place].label].append(rows[place])
    # In turns, so that any first few photos are of as many classes.
    turns = max(len(members) for members in by_label) if per_class is None else per_class
    chosen = [members[turn] for turn in range(turns) for members in by_label if turn < len(members)]
    ids = [row.id for row in chosen]

    def take(name: str, load: Callable[..., Any]) -> np.ndarray:
        rows = sources[name].split(split)
        places = {row.id: place for place, row in enumerate(rows)}
        array = load(sources[name], rows, size=None, folder=cache and cache / name, workers=workers, label=name)
        return array[np.array([places[photo] for photo in ids])]

    return Pairs(
        ids=tuple(ids),
        labels=labels_of(chosen),
        images={name: take(name, load_pixels) for name in VARIANTS},
        masks=take(FG_MASK, load_packed_masks),
        class_list=class_list,
    )


def input_gradient(
    model: Judged, images: Float32[Tensor, "b 3 h w"], labels: Int64[Tensor, " b"]
) -> Float32[Tensor, "b h w"]:
    """The largest |d logit of the class / d x| among a pixel's channels. Source: Simonyan et al. 2014, section 3."""
    images = images.detach().requires_grad_()
    return Saliency(_class_logits(model)).attribute(images, target=labels).amax(1).detach()


def grad_cam(
    model: Judged, images: Float32[Tensor, "b 3 h w"], labels: Int64[Tensor, " b"]
) -> Float32[Tensor, "b h w"]:
    """Grad-CAM of `grad_cam_layer`, enlarged (bilinear). Source: Selvaraju et al. 2017, equations 1 and 2.

    Raises InputError where the network has no such layer.
    """
    name = grad_cam_layer(model, images[:1])
    if name is None:
        raise InputError("the network has no convolutional map that Grad-CAM could weigh: use input gradients")
    explained = LayerGradCam(_class_logits(model), model.network.get_submodule(name))
    maps = explained.attribute(images, target=labels, relu_attributions=True)
    return LayerAttribution.interpolate(maps, tuple(images.shape[2:]), "bilinear")[:, 0].detach()


METHODS: Mapping[str, Attribute] = {"gradient": input_gradient, "grad_cam": grad_cam}


def grad_cam_layer(model: Judged, images: Float32[Tensor, "b 3 h w"]) -> str | None:
    """The name of the network's last module that answers with a map of at least 4 x 4 (by the order of a forward pass).

    None where there is none, and for networks with layer norms: their maps lie channels last, or are tokens.
    """
    if any(isinstance(module, nn.LayerNorm) for module in model.network.modules()):
        return None
    ended: list[str] = []

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= _LEAST_SIDE:
                ended.append(name)

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in model.network.named_modules() if name]
    try:
        with torch.inference_mode():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return ended[-1] if ended else None


def attribute(
    model: Judged,
    pixels: UInt8[np.ndarray, "n h w 3"],
    labels: Int64[np.ndarray, " n"],
    *,
    method: str,
    device: torch.device,
) -> Float32[np.ndarray, "n h w"]:
    """The attribution maps of images by one of `METHODS`, in float32; the model lies on `device`."""
    parts = []
    with exact_arithmetic():
        wanted = torch.split(torch.from_numpy(labels).to(device), BATCH)
        for images, of_images in zip(image_batches(pixels, device=device, batch=BATCH), wanted, strict=True):
            parts.append(METHODS[method](model, images, of_images).cpu())
    return torch.cat(parts).numpy()


def attribution_share(
    maps: Float32[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"]
) -> Float64[np.ndarray, " n"]:
    """The share of each map's attribution that falls on its mask; NaN where a map is zero everywhere."""
    total = maps.sum((1, 2), dtype=np.float64)
    within = (maps * masks).sum((1, 2), dtype=np.float64)
    return np.divide(within, total, out=np.full(len(maps), np.nan), where=total > 0)


def saliency_score(model: Judged, pairs: Pairs, *, device: torch.device) -> dict[str, Any]:
    """The mean share of the attribution on the foreground, by variant and method.

    `foreground_area` is what evenly spread attribution would score. Grad-CAM is absent for networks that have no map
    for it. A mean is rounded, so that the order of float additions shows nowhere.

    Raises InputError where the model and the photos have different lists of classes.
    """
    check_same({"the model": model.labels, "the data": pairs.class_list})
    model.to(device).eval()
    layer = grad_cam_layer(model, next(image_batches(pairs.images[VARIANTS[0]][:1], device=device, batch=1)))
    methods = [method for method in METHODS if method != "grad_cam" or layer is not None]
    return {
        "class_list": pairs.class_list.to_record(),
        "photos": len(pairs.ids),
        "foreground_area": round(float(pairs.masks.mean()), 6),
        "grad_cam_layer": layer,
        "variants": {
            variant: {
                method: _summary(
                    attribution_share(attribute(model, images, pairs.labels, method=method, device=device), pairs.masks)
                )
                for method in methods
            }
            for variant, images in pairs.images.items()
        },
    }


def _summary(shares: Float64[np.ndarray, " n"]) -> dict[str, Any]:
    known = shares[~np.isnan(shares)]
    return {
        "mean_share": round(float(known.mean()), 6) if len(known) else None,
        "count": len(known),
        "without_attribution": len(shares) - len(known),
    }


def _class_logits(model: Judged) -> Callable[[Tensor], Tensor]:
    return lambda images: model.class_logits(model(images))
