"""What a trained flow knows: its density on photos that it has not seen, and what its samples do to accuracy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Generator, Tensor

from bgdata.errors import InputError
from models.classifiers.classifier import Classifier
from models.flow.density import coverage, gaussian_log_prob, normality, two_sample_test
from models.flow.features import image_features, take_apart
from models.flow.network import FlowHead, vote
from models.flow.swaps import Swaps
from models.training.batches import generator_of

Z_COUNTS = (1, 4, 16, 64)
LEVELS = (0.5, 0.8, 0.95)
_PERMUTATIONS = 999
_BATCH = 64


@dataclass(frozen=True)
class Embedded:
    """Features and embeddings of photos and of their copies on another background, on the CPU."""

    labels: Int64[Tensor, " n"]
    features: Mapping[str, Float32[Tensor, "n d"]]
    given: Float32[Tensor, "n w"]
    moved: Float32[Tensor, "n w"]


def open_flow(classifier: Classifier) -> tuple[Classifier, FlowHead]:
    """The backbone and the flow head of a trained classifier, on the CPU in evaluation mode.

    Raises InputError where it has none.
    """
    if classifier.head is None or classifier.head["kind"] != "flow":
        raise InputError("the checkpoint has no flow: train a recipe with `flow`, and give that")
    return take_apart(classifier.eval())


@torch.inference_mode()
def embed_swaps(backbone: Classifier, head: FlowHead, swaps: Swaps, *, seed: int) -> Embedded:
    """Embed photos as they are, and each on one random other's background."""
    features = {
        name: image_features(backbone, images, batch=_BATCH, precision=torch.float32)
        for name, images in {"original": swaps.photos, "swapped": swaps.swapped(seed=seed)}.items()
    }
    given, moved = (head.embed(found.to(head.latents.device)).cpu() for found in features.values())
    return Embedded(torch.from_numpy(swaps.labels), features, given, moved)


@torch.inference_mode()
def diagnose(head: FlowHead, train: Embedded, val: Embedded, *, seed: int) -> dict[str, Any]:
    """Held-out likelihood, two-sample test, calibration, and accuracy by the number of samples; see docs of each.

    `likelihood`: nats a dimension of the val copies given their photos, under the flow and under a conditional
    Gaussian fitted to the train pairs. `two_sample`: (photo, its copy) of one half of the photos against (photo, its
    sample) of the other. `calibration`: latents of the val copies should be standard normal. `accuracy`: of the
    embedding without the flow and of the vote over so many samples, on photos and on their copies.
    """
    head = head.cpu().eval()
    return {
        "kind": type(head.flow).__name__.lower(),
        "width": val.given.shape[1],
        "count": len(val.given),
        "likelihood": _likelihood(head, train, val),
        "two_sample": _two_sample(head, val, generator_of(seed, "two-sample", "flow")),
        "calibration": _calibration(head, val),
        "accuracy": {
            name: accuracy_by_z_count(head, features, val.labels, generator_of(seed, "latents", "flow"))
            for name, features in val.features.items()
        },
    }


def accuracy_by_z_count(
    head: FlowHead, features: Float32[Tensor, "n d"], labels: Int64[Tensor, " n"], generator: Generator
) -> dict[str, float]:
    """Accuracy without the flow (`embedding`) and by the vote of 1, 4, 16, 64 and the head's own number of samples.

    The head's own latents come first: at its own `z_count` the number is the head's.
    """
    counts = sorted({*Z_COUNTS, len(head.latents)})
    more = torch.randn(max(Z_COUNTS), head.latents.shape[1], generator=generator)
    latents = torch.cat((head.latents, more))
    given = head.embed(features)
    answers = {"embedding": head.classifier(given)}
    logits = torch.cat(
        [
            head.classifier(head.sample(some, latents[: counts[-1]].expand(len(some), -1, -1)))
            for some in torch.split(given, _BATCH)
        ]
    )
    answers |= {str(count): vote(logits[:, :count]) for count in counts}
    return {name: float((answer.argmax(1) == labels).double().mean()) for name, answer in answers.items()}


def _likelihood(head: FlowHead, train: Embedded, val: Embedded) -> dict[str, float]:
    gaussian = gaussian_log_prob((train.given.double(), train.moved.double()), val.given.double(), val.moved.double())
    found = {"flow": head.log_prob(val.moved, val.given).double(), "gaussian": gaussian}
    found |= {"flow_on_train": head.log_prob(train.moved, train.given).double()}
    return {name: float(values.mean()) / val.given.shape[1] for name, values in found.items()}


def _two_sample(head: FlowHead, val: Embedded, generator: Generator) -> dict[str, Any]:
    # Halves, drawn: what is compared must be independent, and ids are ordered by class.
    real, drawn = torch.randperm(len(val.given), generator=generator).tensor_split(2)
    latents = torch.randn(len(drawn), 1, val.given.shape[1], generator=generator)
    sampled = head.sample(val.given[drawn], latents)[:, 0]
    statistic, p_value = two_sample_test(
        torch.cat((val.given[real], val.moved[real]), 1).double(),
        torch.cat((val.given[drawn], sampled), 1).double(),
        permutations=_PERMUTATIONS,
        generator=generator,
    )
    return {"test": "mmd", "statistic": statistic, "p_value": p_value, "counts": [len(real), len(drawn)]}


def _calibration(head: FlowHead, val: Embedded) -> dict[str, Any]:
    latents = head.to_latents(val.moved, val.given)[0].double()
    shares = coverage(latents, LEVELS)
    mean, rejected = normality(latents)
    return {
        "coverage": {str(level): share for level, share in zip(LEVELS, shares, strict=True)},
        "ks_mean": mean,
        "ks_rejected": rejected,
    }


def spread(head: FlowHead, given: Float32[Tensor, "n w"], *, count: int, seed: int) -> Float32[np.ndarray, "n c w"]:
    """`count` sampled embeddings of each image."""
    latents = torch.randn(len(given), count, given.shape[1], generator=generator_of(seed, "picture", "flow"))
    with torch.inference_mode():
        return head.sample(given, latents).numpy()
