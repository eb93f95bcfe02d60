"""What is seen in a photo should not change with its background (focal consistency), nor with its looks (agreement)."""

import math

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float
from torch import Tensor

from models.training.losses import Network, Penalty
from models.training.parts import Batch


class Consistency(Penalty):
    """The mean divergence of the predictions on photos and on their twins; photos that are sure and right count less.

    The form is ours, of known pieces: the divergence is R-Drop's (Liang et al. 2021, eq. 2), the factor of a photo is
    the focal loss's (Lin et al. 2017), (1 - probability of its class) ** gamma, through which no gradient flows.
    """

    def __init__(self, *, weight: float, gamma: float) -> None:
        super().__init__()
        self.weight = weight
        self.gamma = gamma

    def forward(self, network: Network, logits: Float[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar, weighted."""
        assert batch.twins is not None, "consistency needs twins"
        divergences = symmetric_divergence(logits, network(batch.twins).float())
        right = logits.detach().softmax(1).gather(1, batch.labels[:, None])[:, 0]
        return self.weight * ((1 - right) ** self.gamma * divergences).mean()


class Agreement(Penalty):
    """The mean divergence of the predictions on photos and on their augmented views.

    Source: AugMix's consistency loss (Hendrycks et al. 2020, eq. 2; weight 12 there), which PRIME takes too. There one
    pass sees photos and views, and batch norms measure them together; here photos have a pass of their own.
    """

    def __init__(self, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, network: Network, logits: Float[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar, weighted."""
        assert batch.views is not None, "agreement needs views"
        others = network(batch.views.flatten(0, 1)).float().view(*batch.views.shape[:2], -1)  # b v k
        return self.weight * jensen_shannon(torch.cat((logits[:, None], others), 1)).mean()


def jensen_shannon(logits: Float[Tensor, "b v k"]) -> Float[Tensor, " b"]:
    """The divergence of an image's predictions: the mean of theirs from their mean, in nats."""
    logs = F.log_softmax(logits, 2)
    middle = logs.logsumexp(1, keepdim=True) - math.log(logits.shape[1])
    return (logs.exp() * (logs - middle)).sum(2).mean(1)


def symmetric_divergence(first: Float[Tensor, "b k"], second: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """The mean of the Kullback-Leibler divergences of two predictions, of the one and of the other, in nats."""
    one, other = F.log_softmax(first, 1), F.log_softmax(second, 1)
    return ((one.exp() - other.exp()) * (one - other)).sum(1) / 2
