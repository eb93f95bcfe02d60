"""GroupDRO: the groups of images that are learnt worst count most."""

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float32, Float64, Int64
from torch import Tensor

from bgdata.compose.background_classes import UNKNOWN
from models.training.distributed import average
from models.training.losses import BaseLoss
from models.training.parts import Batch


class GroupDRO(BaseLoss):
    """The loss of each group, weighted by q; q rises with its group's loss.

    A group is (class, class of the background), and one more a class for backgrounds that nobody knows. Source:
    Sagawa et al. 2020, algorithm 1, over the groups of a batch at once as their code does it: q_g is multiplied by
    exp(step * loss_g) where the batch shows g, q is brought to sum 1, and the loss is the sum of q_g * loss_g. Without
    their adjustment for the size of groups. They draw each group equally often (`balance: groups`): q rises only
    when its group is shown. A group has its share of q once it was shown; those that the data lack have none.
    """

    log_weights: Float64[Tensor, " g"]
    met: Tensor

    def __init__(self, *, step: float, label_smoothing: float, classes: int) -> None:
        super().__init__(label_smoothing=label_smoothing)
        self.step = step
        self.classes = classes
        count = classes * (classes + 1)
        # Sums of step * loss over a whole training: float32 would round the late steps away.
        self.register_buffer("log_weights", torch.zeros(count, dtype=torch.float64))
        self.register_buffer("met", torch.zeros(count, dtype=torch.bool))

    @property
    def shares(self) -> Float64[Tensor, " g"]:
        """q: each group's share of the loss, at class * (classes + 1) + class of the background + 1; sums to 1."""
        return torch.where(self.met, self.log_weights, -torch.inf).softmax(0)

    def groups(self, batch: Batch) -> Int64[Tensor, " b"]:
        """The number of each image's group."""
        return batch.labels * (self.classes + 1) + batch.background_labels - UNKNOWN

    def forward(self, logits: Float32[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar; the groups' weights take a step first.

        Where several processes train together, groups are those of the whole batch: the mean of their scalars is the
        loss, and the weights are the same in each.
        """
        losses = F.cross_entropy(logits, batch.targets, label_smoothing=self.label_smoothing, reduction="none")
        members = F.one_hot(self.groups(batch), len(self.met)).to(losses.dtype)  # b g
        counts = average(members.sum(0))
        group_losses = losses @ members / torch.where(counts > 0, counts, 1)
        with torch.no_grad():
            self.met |= counts > 0
            self.log_weights += self.step * average(group_losses)
            shares = self.shares.to(losses.dtype)
        return group_losses @ shares
