"""The head with a conditional flow: it classifies the embeddings that an image could have on other backgrounds."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
import zuko
from jaxtyping import Float
from torch import Tensor, nn

# What the mean probability counts for beside one vote: less than 1, so that it breaks ties and overturns nothing.
_TIE = 0.5
# What every class has without a vote: logits stay finite, and evidence below it does not count.
_FLOOR = 1e-3
# Sampled embeddings are kept to this many standard deviations: a flow may throw a foreign image anywhere.
_FARTHEST = 100.0
_FLOWS: dict[str, Callable[..., nn.Module]] = {"nice": zuko.flows.NICE, "maf": zuko.flows.MAF}


class FlowHead(nn.Module):
    """Features to logits: embed, sample `z_count` embeddings on other backgrounds, classify each, take the vote.

    The latents that the samples come from are drawn once and kept with the weights, the same for every image: an
    answer depends on its image alone. Embeddings have mean 0 and variance 1 in each dimension (running statistics).
    `flow` is `nice` (affine couplings; cheap both ways) or `maf` (its samples take `width` passes).

    Source: the flow of the WUST system, d-512-128 and 128-128-9 with conditional NICE or MAF; here its features are
    normalised, contexts stand beside their own samples, and the vote counts classes.
    """

    feature_mean: Tensor
    feature_std: Tensor
    latents: Tensor

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        flow: str,
        width: int,
        transforms: int,
        hidden: Sequence[int],
        z_count: int,
    ) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_std", torch.ones(features))
        self.register_buffer("latents", torch.randn(z_count, width))
        self.embedding = nn.Sequential(
            nn.Linear(features, 4 * width), nn.ReLU(), nn.Linear(4 * width, width), nn.BatchNorm1d(width, affine=False)
        )
        self.flow = _FLOWS[flow](width, width, transforms=transforms, hidden_features=tuple(hidden))
        self.classifier = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes))

    def standardise(self, mean: Float[Tensor, " d"], std: Float[Tensor, " d"]) -> None:
        """Keep the statistics of the features; one that hardly varies is not blown up."""
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std.clamp(min=max(float(std.mean()) / 100, 1e-6)))

    def embed(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b w"]:
        """The embeddings of features as the backbone gives them."""
        return self.embedding((features - self.feature_mean) / self.feature_std)

    def sample(self, given: Float[Tensor, "b w"], latents: Float[Tensor, "b z w"]) -> Float[Tensor, "b z w"]:
        """Embeddings on other backgrounds of images whose embeddings are given, one a latent."""
        count = latents.shape[1]
        contexts = given.repeat_interleave(count, 0)  # b*z w, each beside its own latents
        moved = self.flow(contexts).transform.inv(latents.flatten(0, 1))
        return moved.clamp(-_FARTHEST, _FARTHEST).unflatten(0, (-1, count))

    def to_latents(
        self, moved: Float[Tensor, "b w"], given: Float[Tensor, "b w"]
    ) -> tuple[Float[Tensor, "b w"], Float[Tensor, " b"]]:
        """The latents of embeddings on other backgrounds, and log |d latents / d moved|."""
        return self.flow(given).transform.call_and_ladj(moved)

    def log_prob(self, moved: Float[Tensor, "b w"], given: Float[Tensor, "b w"]) -> Float[Tensor, " b"]:
        """The log-density of embeddings on other backgrounds, in nats."""
        latents, determinant = self.to_latents(moved, given)
        return determinant - 0.5 * (latents.square() + math.log(2 * math.pi)).sum(1)

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b k"]:
        """Logits: see `vote`. In the weights' own precision also under autocast: a vote is a step."""
        with torch.autocast(features.device.type, enabled=False):
            given = self.embed(features.to(self.latents.dtype))
            return vote(self.classifier(self.sample(given, self.latents.expand(len(given), -1, -1))))


def vote(logits: Float[Tensor, "b z k"]) -> Float[Tensor, "b k"]:
    """The majority vote over `z` classifications, as logits whose softmax is the shares of the votes.

    The logarithm of (votes + mean probability / 2 + 0.001), normalised: the class with most votes is the largest, of
    classes with as many votes the one with the larger mean probability, and all are finite. Gradients flow through the
    mean probability alone.
    """
    votes = F.one_hot(logits.argmax(-1), logits.shape[-1]).sum(1)  # b k
    scores = votes + _TIE * logits.softmax(-1).mean(1) + _FLOOR
    return (scores / scores.sum(-1, keepdim=True)).log()
