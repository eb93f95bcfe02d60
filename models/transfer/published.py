"""ResNet-50s that others made robust, in the forms in which they publish them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bgdata.errors import InputError
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD
from models.weights.files import load_weights
from models.weights.states import read_content

ARCH = "torchvision:resnet50"
# A backbone's own have no head, of however many classes.
_HEAD = "fc."
_NORMALISER = ("module.normalizer.new_mean", "module.normalizer.new_std")


@dataclass(frozen=True)
class Form:
    """How a checkpoint is written: under which key its state dict is (the first that is there), what is before the
    network's own names, and with what the names of things begin that are no part of the network.
    """

    title: str
    keys: tuple[str, ...]
    prefix: str = ""
    beside: tuple[str, ...] = ()


# Source: the converters of runopti/RobustDownstreamTransfer (mmdetection/tools/model_converters), which take any of
# the keys, and give what they do not know to the name before it; here it is refused.
FORMS: dict[str, Form] = {
    # Rusak et al. 2020, adversarial noise training.
    "ant": Form("ANT", ("model_state_dict", "state_dict", "model")),
    # Hendrycks et al. 2021, with AugMix (2020); trained in DataParallel.
    "deepaugment_augmix": Form("DeepAugment + AugMix", ("state_dict",), prefix="module."),
    # Salman et al. 2020, by MadryLab's robustness: the network twice (the attacker holds it too), and its normaliser.
    "adversarial": Form(
        "adversarial training (robustness)",
        ("model", "state_dict"),
        prefix="module.model.",
        beside=("module.attacker", "module.normalizer"),
    ),
}


def load_published(
    network: nn.Module, kind: str, path: Path
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Fill a ResNet-50 without its head from a checkpoint of a `kind` of `FORMS`; returns the mean and std to be used.

    They are ImageNet's, or what robustness's normaliser in the file says.

    Raises InputError where the file cannot be read, or is not of this form to the last key, which it names.
    """
    form = FORMS[kind]
    held = _state_dict(read_content(path), form, path)
    own = {
        name.removeprefix(form.prefix): value
        for name, value in held.items()
        if not (form.beside and name.startswith(form.beside))
    }
    state = {name: value for name, value in own.items() if not name.startswith(_HEAD)}
    load_weights(network, state, source=f"{path} (read as {form.title})")
    _check_finite(network, path)
    mean, std = (held.get(name) if form.beside else None for name in _NORMALISER)
    if mean is None or std is None:
        return IMAGENET_MEAN, IMAGENET_STD
    return _three(mean, path), _three(std, path)


def _state_dict(content: Any, form: Form, path: Path) -> Mapping[str, Tensor]:
    keys = list(content) if isinstance(content, Mapping) else []
    found = next((content[key] for key in form.keys if key in keys and isinstance(content[key], Mapping)), None)
    if found is None:
        holds = f"it holds {', '.join(map(str, keys[:6]))}" if keys else f"it is a {type(content).__name__}"
        raise InputError(
            f"{path} is no checkpoint of {form.title}: expected a state dict under {' or '.join(form.keys)}, {holds}: "
            f"give it as {{arch: {ARCH.partition(':')[2]}, weights: FILE}}, which takes any form"
        )
    strange = [str(name) for name, value in found.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{path}: {', '.join(strange[:5])} of its state dict is no tensor: give the file as published")
    return found


def _check_finite(network: nn.Module, path: Path) -> None:
    broken = [name for name, value in network.state_dict().items() if not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"{path}: {', '.join(broken[:5])} hold values that are not finite: download the file again")


def _three(values: Tensor, path: Path) -> tuple[float, float, float]:
    if values.numel() != 3:
        raise InputError(f"{path} normalises {values.numel()} channels, expected 3 (RGB)")
    red, green, blue = values.flatten().double().tolist()
    return red, green, blue
