"""The optimizer of a training, and the rates of its groups of parameters."""

import torch

from models.classifiers.classifier import Classifier
from models.training.settings import LoopSettings


def build_optimizer(classifier: Classifier, settings: LoopSettings, *, backbone_lr: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam or AdamW over the parameters that are trained.

    The backbone's come first, at `backbone_lr` times the rate; the head's last.
    """
    head = classifier.head_names
    trained = [(name, parameter) for name, parameter in classifier.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for name, parameter in trained if name not in head], "scale": backbone_lr},
        {"params": [parameter for name, parameter in trained if name in head], "scale": 1.0},
    ]
    return _OPTIMIZERS[settings.optimizer]([group for group in groups if group["params"]], settings)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group, each by its scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def _sgd(groups: list[dict[str, object]], settings: LoopSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        groups,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _adam(groups: list[dict[str, object]], settings: LoopSettings) -> torch.optim.Optimizer:
    return torch.optim.Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def _adamw(groups: list[dict[str, object]], settings: LoopSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


_OPTIMIZERS = {"sgd": _sgd, "adam": _adam, "adamw": _adamw}
