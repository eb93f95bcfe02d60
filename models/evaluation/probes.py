"""Linear probes: a linear classifier on a frozen network's features, as ViTs are reported on ImageNet-9.

Multinomial logistic regression with an L2 penalty, which is chosen on a held-out part of the training photos. Source:
the protocol of Chen et al. 2020 (SimCLR, appendix B.8) and Radford et al. 2021 (CLIP, appendix A.3); features are
standardised here, so that one grid of penalties fits every network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor, nn

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_pixels
from bgdata.randomness import seeded_order
from models.classifiers.judged import Judged, run_network
from models.devices import exact_arithmetic
from models.evaluation.accuracy import image_batches, labels_of

# Penalties, from the strongest on: half their product with the squared weights is added to the mean cross-entropy.
L2 = tuple(10.0**power for power in range(0, -7, -1))
HELD_OUT = 0.2
# Photos that are decoded at a time: a training set at full size does not fit into memory.
_DECODED = 1024
_ITERATIONS = 300


@dataclass(frozen=True)
class Features:
    """What a frozen network makes of photos, a row each, and what they are by which list."""

    values: Float32[np.ndarray, "n d"]
    labels: Int64[np.ndarray, " n"]
    ids: tuple[str, ...]
    class_list: ClassList


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features, the penalty that was chosen, and each penalty's accuracy on held-out photos."""

    weight: Float32[np.ndarray, "k d"]
    bias: Float32[np.ndarray, " k"]
    l2: float
    held_out: dict[float, float]
    photos: int
    class_list: ClassList


def read_features(
    backbone: Judged, source: ImageSource, *, split: str, device: torch.device, eval_batch: int, workers: int
) -> Features:
    """A frozen backbone's features of all photos of a split.

    Raises InputError where there are no photos, or the network gives no features.
    """
    rows = source.split(split)
    if not rows:
        raise InputError(f"{source.folder} has no {split} photos: a probe is trained on the {split} split of our sets")
    backbone.to(device).eval()
    parts = []
    for start in range(0, len(rows), _DECODED):
        some = rows[start : start + _DECODED]
        label = f"{source.folder.name} {start + len(some)}/{len(rows)}"
        pixels = load_pixels(source, some, size=None, folder=None, workers=workers, label=label)
        parts.append(extract_features(backbone, pixels, device=device, batch=eval_batch))
    return Features(np.concatenate(parts), labels_of(rows), tuple(row.id for row in rows), source.classes)


def extract_features(
    backbone: Judged, pixels: UInt8[np.ndarray, "n h w 3"], *, device: torch.device, batch: int
) -> Float32[np.ndarray, "n d"]:
    """The outputs of the backbone's network, in float32; it lies on `device`.

    Raises InputError where they are no vectors, or not finite.
    """
    parts = []
    with torch.inference_mode(), exact_arithmetic():
        for images in image_batches(pixels, device=device, batch=batch):
            found = run_network(backbone.network, backbone.prepare(images))
            parts.append(_checked(found).float().cpu())
    return torch.cat(parts).numpy()


def fit_probe(features: Features, *, seed: int, l2: Sequence[float] = L2) -> Probe:
    """Fit on all photos with the penalty that is best on a seeded fifth of each class.

    Best is most accurate; of equals, the one with the least cross-entropy. The order of the photos changes
    nothing.

    Raises InputError where a class has fewer than two photos.
    """
    order = sorted(range(len(features.ids)), key=lambda index: features.ids[index])
    values, labels = features.values[order].astype(np.float64), features.labels[order]
    mean, spread = values.mean(0), values.std(0)
    # A feature that never changes says nothing: it must not be divided by rounding.
    spread[spread < 1e-6 * max(float(np.abs(values).max()), 1e-30)] = np.inf
    inputs, targets = torch.from_numpy((values - mean) / spread), torch.from_numpy(labels)
    held = torch.from_numpy(_held_out(labels, [features.ids[index] for index in order], seed, features.class_list))
    accuracies, losses = {}, {}
    count = len(features.class_list)
    zeros = inputs.new_zeros(count, inputs.shape[1]), inputs.new_zeros(count)
    start = zeros
    for penalty in sorted(l2, reverse=True):
        start = _fit(inputs[~held], targets[~held], l2=penalty, start=start)
        logits = F.linear(inputs[held], *start)
        accuracies[penalty] = float((logits.argmax(1) == targets[held]).double().mean())
        losses[penalty] = float(F.cross_entropy(logits, targets[held]))
    best = max(accuracies, key=lambda penalty: (accuracies[penalty], -losses[penalty]))
    weight, bias = (found.numpy() for found in _fit(inputs, targets, l2=best, start=zeros))
    weight = weight / spread
    bias = bias - weight @ mean
    return Probe(weight.astype(np.float32), bias.astype(np.float32), best, accuracies, len(labels), features.class_list)


def probed(backbone: Judged, probe: Probe) -> Judged:
    """The backbone with the probe as its head: a classifier of the probe's classes, for every judge."""
    head = nn.Linear(probe.weight.shape[1], len(probe.class_list))
    head.load_state_dict({"weight": torch.from_numpy(probe.weight), "bias": torch.from_numpy(probe.bias)})
    mean, std = (statistic.flatten().tolist() for statistic in (backbone.mean, backbone.std))
    network = nn.Sequential(backbone.network, head.to(backbone.mean.device))
    return Judged(
        network,
        class_list=probe.class_list,
        classes=len(probe.class_list),
        by_wnid=False,
        mean=mean,
        std=std,
        size=backbone.size,
    ).eval()


def _fit(
    inputs: Float[Tensor, "n d"], targets: Tensor, *, l2: float, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the least penalised cross-entropy, in float64, which has one minimum."""
    weight, bias = (value.clone().requires_grad_() for value in start)
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(F.linear(inputs, weight, bias), targets) + l2 / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _held_out(labels: Int64[np.ndarray, " n"], ids: Sequence[str], seed: int, classes: ClassList) -> np.ndarray:
    """Which photos choose the penalty: the seeded first fifth of each class, at least one."""
    held = np.zeros(len(labels), bool)
    drawn = np.array(seeded_order(seed, ids, "probe-held-out"))
    for label, folder in enumerate(classes.folders):
        of_class = drawn[labels[drawn] == label]
        if len(of_class) < 2:
            raise InputError(
                f"{folder} has {len(of_class)} training photos, expected at least 2: a probe needs some of each class"
            )
        held[of_class[: max(round(HELD_OUT * len(of_class)), 1)]] = True
    return held


def _checked(found: object) -> Tensor:
    if not isinstance(found, Tensor) or found.ndim != 2:
        shape = "x".join(map(str, found.shape[1:])) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"the network gives {shape} an image, expected a vector of features: pool it, in a function of your own "
            "(--entry module:function)"
        )
    if not torch.isfinite(found).all():
        raise InputError("the network gives features that are not finite: its weights or its normalisation are wrong")
    return found
