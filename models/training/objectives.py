"""What a training minimises: a base loss of each image, and penalties that parts of a recipe add."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32
from torch import Tensor, nn

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


class Objective(Part):
    """The base loss and the penalties."""

    def __init__(self, base: BaseLoss, penalties: Sequence[Penalty] = ()) -> None:
        super().__init__()
        self.base = base
        self.penalties = nn.ModuleList(penalties)

    def forward(self, network: Network, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        if any(penalty.differentiates_images for penalty in self.penalties):
            batch.images.requires_grad_()
        logits = network(batch.images).float()
        loss = self.base(logits, batch)
        for penalty in self.penalties:
            loss = loss + penalty(network, logits, batch)
        return loss
