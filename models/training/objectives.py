"""What a training minimises: a base loss, and the penalties that parts of a recipe add."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.training.consistency import Agreement, Consistency
from models.training.groups import GroupDRO
from models.training.losses import BaseLoss, Network, Penalty
from models.training.parts import Batch, Part
from models.training.penalties import build_penalty
from models.training.settings import LoopSettings, RecipeSettings


class Objective(Part):
    """The base loss and the penalties."""

    def __init__(self, base: BaseLoss, penalties: Sequence[Penalty] = ()) -> None:
        super().__init__()
        self.base = base
        self.penalties = nn.ModuleList(penalties)
        self.differentiates_images = any(penalty.differentiates_images for penalty in penalties)

    def forward(self, network: Network, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar."""
        if not self.differentiates_images:
            return self._loss(network, batch)
        batch.images.requires_grad_()
        with _twice_differentiable():
            return self._loss(network, batch)

    def _loss(self, network: Network, batch: Batch) -> Tensor:
        logits = network(batch.images).float()
        loss = self.base(logits, batch)
        for penalty in self.penalties:
            loss = loss + penalty(network, logits, batch)
        return loss


def build_objective(recipe: RecipeSettings, settings: LoopSettings, *, classes: int) -> Objective:
    """The objective that a recipe's settings name, for so many classes."""
    base = BaseLoss(label_smoothing=settings.label_smoothing)
    if recipe.group_dro is not None:
        base = GroupDRO(step=recipe.group_dro.step, label_smoothing=settings.label_smoothing, classes=classes)
    penalties: list[Penalty] = []
    if recipe.penalty is not None:
        penalties.append(build_penalty(recipe.penalty))
    if recipe.consistency is not None:
        penalties.append(Consistency(weight=recipe.consistency.weight, gamma=recipe.consistency.gamma))
    if recipe.augment is not None and recipe.augment.jsd is not None:
        penalties.append(Agreement(weight=recipe.augment.jsd))
    return Objective(base, penalties)


@contextmanager
def _twice_differentiable() -> Iterator[None]:
    """Inside the block networks run in a way whose gradients have gradients: not compiled, attention not fused."""
    with torch.compiler.set_stance("force_eager"), sdpa_kernel(SDPBackend.MATH):
        yield
