"""Penalties on the gradient of the cross-entropy with respect to the background's pixels.

Source: the WUST system (CE + weight * |g on the background|, g = dCE/dx, and its proportional and smoothed forms); the
idea is that of "Right for the Right Reasons" (Ross et al. 2017), which squares g. Here g is that of each image's own
cross-entropy without label smoothing, not of the batch's mean, and its size is the mean of |g| over the background's
pixels and channels: a weight keeps its meaning whatever the batch, and however large the background.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from jaxtyping import Float, Float32
from torch import Tensor, nn

from models.training.losses import Network, Penalty
from models.training.parts import Batch
from models.training.settings import PenaltySettings


class GradientPenalty(Penalty):
    """The absolute penalty: the mean over images of the mean |g| on the background, 1 - mask."""

    differentiates_images = True

    def __init__(self, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, network: Network, logits: Float32[Tensor, "b k"], batch: Batch) -> Tensor:
        """A scalar, weighted."""
        assert batch.masks is not None, "gradient penalties need masks"
        gradients = self.gradients(network, logits, batch)
        return self.weight * self.sizes(gradients, batch.masks).mean()

    def gradients(
        self,
        network: Network,  # noqa: ARG002  # for those that call it again
        logits: Float32[Tensor, "b k"],
        batch: Batch,
    ) -> Float32[Tensor, "b c h w"]:
        """The gradients that are penalised."""
        return image_gradients(logits, batch.targets, batch.images)

    def sizes(self, gradients: Float32[Tensor, "b c h w"], masks: Float32[Tensor, "b 1 h w"]) -> Float32[Tensor, " b"]:
        """What is penalised of each image's gradient."""
        return mean_size(gradients, 1 - masks)


class ProportionalPenalty(GradientPenalty):
    """|size on the background / size on the object - 1|: a background pixel should weigh what an object's pixel does.

    Unlike the others it does not vanish for a network that ignores the background: there it is `weight`.
    """

    def sizes(self, gradients: Float32[Tensor, "b c h w"], masks: Float32[Tensor, "b 1 h w"]) -> Float32[Tensor, " b"]:
        """What is penalised of each image's gradient."""
        return imbalance(gradients, masks)


class SmoothedPenalty(GradientPenalty):
    """The absolute penalty of a gradient averaged over copies of the image with gaussian noise on the background.

    The noise comes from the global generator, which the loop seeds anew for each epoch. Batch norms do not take the
    noisy copies into their running statistics. Source: SmoothGrad's average (Smilkov et al. 2017); as there, noisy
    pixels may leave [0, 1].
    """

    def __init__(self, *, weight: float, copies: int, noise: float) -> None:
        super().__init__(weight=weight)
        self.copies = copies
        self.noise = noise

    def gradients(
        self,
        network: Network,
        logits: Float32[Tensor, "b k"],  # noqa: ARG002  # those of the copies take their place
        batch: Batch,
    ) -> Float32[Tensor, "b c h w"]:
        """The gradients that are penalised."""
        assert batch.masks is not None, "gradient penalties need masks"
        copies = batch.images.repeat(self.copies, 1, 1, 1)
        copies = copies + self.noise * torch.randn_like(copies) * (1 - batch.masks).repeat(self.copies, 1, 1, 1)
        with _running_statistics_kept(network):
            noisy_logits = network(copies).float()
        targets = batch.targets.repeat(self.copies, 1)
        return image_gradients(noisy_logits, targets, batch.images) / self.copies


def build_penalty(settings: PenaltySettings) -> GradientPenalty:
    """The penalty that the settings name."""
    if settings.kind == "absolute":
        return GradientPenalty(weight=settings.weight)
    if settings.kind == "proportional":
        return ProportionalPenalty(weight=settings.weight)
    assert settings.copies is not None
    assert settings.noise is not None
    return SmoothedPenalty(weight=settings.weight, copies=settings.copies, noise=settings.noise)


def image_gradients(
    logits: Float[Tensor, "n k"], targets: Float[Tensor, "n k"], images: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """The gradient of each image's cross-entropy, which can be differentiated again.

    Batch norms that are training tie images together: an image's gradient then holds its effect on the others' losses.
    """
    loss = F.cross_entropy(logits, targets, reduction="sum")
    (gradients,) = torch.autograd.grad(loss, images, create_graph=True)
    return gradients


def mean_size(gradients: Float[Tensor, "b c h w"], shares: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """The mean of |gradient| over pixels, by their shares, and channels; 0 where all shares are 0."""
    sums = (gradients.abs().mean(1, keepdim=True) * shares).sum((1, 2, 3))
    return sums / shares.sum((1, 2, 3)).clamp(min=1)


def imbalance(gradients: Float[Tensor, "b c h w"], masks: Float[Tensor, "b 1 h w"]) -> Float[Tensor, " b"]:
    """|mean size on the background / on the object - 1|; 0 without a background, or a gradient on the object."""
    on_object, on_background = mean_size(gradients, masks), mean_size(gradients, 1 - masks)
    comparable = (on_object > 0) & (masks < 1).any(-1).any(-1).any(-1)
    ratios = on_background / torch.where(comparable, on_object, 1)
    return torch.where(comparable, (ratios - 1).abs(), 0)


@contextmanager
def _running_statistics_kept(network: Network) -> Iterator[None]:
    """Inside the block batch norms that are training leave their running statistics as they are."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    momenta = {module: module.momentum for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm)}
    for module in momenta:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum in momenta.items():
            module.momentum = momentum
