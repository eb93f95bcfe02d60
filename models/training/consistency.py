"""Focal background consistency: what is seen in a photo should not change with its background."""

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


def symmetric_divergence(first: Float[Tensor, "b k"], second: Float[Tensor, "b k"]) -> Float[Tensor, " b"]:
    """The mean of the Kullback-Leibler divergences of two predictions, of the one and of the other, in nats."""
    one, other = F.log_softmax(first, 1), F.log_softmax(second, 1)
    return ((one.exp() - other.exp()) * (one - other)).sum(1) / 2
