"""Batch norms in training: which of them measure a batch, and their statistics under weights that were averaged."""

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from models.classifiers.classifier import Classifier
from models.devices import autocast
from models.training.batches import epoch_batches
from models.training.distributed import average_buffers
from models.training.recipes import Recipe
from models.training.run import Run
from models.training.settings import LoopSettings


def set_training(classifier: Classifier) -> None:
    """Training mode, but for batch norms that are frozen: their statistics stay as they are, too."""
    classifier.train()
    for module in classifier.modules():
        if isinstance(module, _BatchNorm) and not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()


@torch.no_grad()
def refresh_statistics(classifier: Classifier, recipe: Recipe, settings: LoopSettings, run: Run) -> None:
    """Measure the batch statistics anew, over one more pass through the data, the mean of all batches.

    As `torch.optim.swa_utils.update_bn`, but frozen batch norms keep theirs, and nothing else trains (dropout).
    """
    set_training(classifier)
    norms = [norm for norm in classifier.modules() if isinstance(norm, _BatchNorm) and norm.training]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    classifier.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    for _, _, batch in epoch_batches(recipe, settings, settings.epochs, run.seed, device=run.device):
        with autocast(run.device, run.precision):
            classifier(batch.images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average_buffers(classifier)
