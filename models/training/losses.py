"""What objectives are put together from: a base loss, and penalties that parts of a recipe add to it."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Tensor

from models.training.parts import Batch, Part

# The classifier, or what compiles it: images in [0, 1] to logits.
Network = Callable[[Tensor], Tensor]


class BaseLoss(Part):
    """The loss of a batch from its logits; this one is the mean cross-entropy (ERM)."""

    def __init__(self, *, label_smoothing: float) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, logits: Float32[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar."""
        return F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing)


class Penalty(Part):
    """What a part adds to the loss. `differentiates_images`: it asks for gradients with respect to pixels."""

    differentiates_images = False

    def forward(self, network: Network, logits: Float32[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar, weighted. `batch.images` are those that `logits` came from."""
        raise NotImplementedError
