"""One training on biased digits: the project's own loop, with a recipe of its data and, perhaps, a penalty."""

from pathlib import Path
from typing import Any

import torch

from bgdata.digits.bias import BiasedDigits
from bgdata.digits.plain import CLASSES, SIDE
from models.classifiers.classifier import Classifier
from models.digits.network import build_digit_classifier
from models.digits.settings import DigitsSettings
from models.training.data import TrainingData
from models.training.loop import fit
from models.training.losses import BaseLoss
from models.training.objectives import Objective
from models.training.parts import Averaging, Treatment
from models.training.penalties import build_penalty
from models.training.recipes import Recipe
from models.training.run import Run
from models.training.settings import LoopSettings, PenaltySettings


def train_on_digits(
    train: BiasedDigits,
    validation: BiasedDigits,
    settings: DigitsSettings,
    *,
    penalty: PenaltySettings | None,
    seed: int,
    device: torch.device,
    folder: Path,
    label: str,
) -> tuple[Classifier, list[dict[str, Any]]]:
    """A classifier trained from new weights in float32, and its history; `folder` keeps the state, so that a training
    that is finished there is only read."""
    classifier = build_digit_classifier(seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    history = fit(
        classifier,
        _recipe(train, penalty),
        _loop_settings(settings),
        Run(seed, device, torch.float32, folder),
        validation=(validation.images, validation.labels),
        label=label,
    )
    return classifier, history


def _recipe(train: BiasedDigits, penalty: PenaltySettings | None) -> Recipe:
    targets = torch.eye(CLASSES)[torch.from_numpy(train.labels)]
    return Recipe(
        TrainingData(train.images, targets, train.labels, train.masks),
        lambda generator: torch.randperm(len(train.images), generator=generator).numpy(),
        Treatment(),
        None,
        Objective(BaseLoss(label_smoothing=0.0), () if penalty is None else (build_penalty(penalty),)),
        Averaging(),
    )


def _loop_settings(settings: DigitsSettings) -> LoopSettings:
    """Adam without anything else: no crop, flip or colours, which would move or change the bias."""
    return LoopSettings(
        arch="digits",
        size=SIDE,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        optimizer="adam",
        lr=settings.lr,
        momentum=0.0,
        weight_decay=0.0,
        warmup=0.0,
        label_smoothing=0.0,
        crop_scale=1.0,
        flip=False,
        jitter=0.0,
        precision="float32",
        compile=False,
    )
