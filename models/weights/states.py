"""Weights in files, whoever wrote them: one plain state dict, and the normalisation that lies beside it, if any."""

import argparse
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bgdata.errors import InputError
from models.weights.files import read_torch_file

# Under which a training script keeps the weights; the first one that is there counts.
_CONTAINERS = ("model", "model_state_dict", "state_dict")
# DataParallel, torch.compile, and a wrapper that keeps the network as its `model` (robustness, Lightning).
_WRAPPERS = ("module.", "_orig_mod.", "model.")


@dataclass(frozen=True)
class Weights:
    """A plain state dict; `mean` and `std` where the file says how inputs were normalised."""

    state: Mapping[str, Tensor]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_weights(path: Path) -> Weights:
    """The weights of a file: safetensors, or what `torch.save` wrote, loaded without running code.

    Takes a state dict at the top, or under `model`, `model_state_dict` or `state_dict`, with the prefixes of
    DataParallel (`module.`), `torch.compile` and wrappers (`model.`), and with the keys of MadryLab's robustness
    library (`normalizer.new_mean`, and a second copy of the network under `attacker.`).

    Raises InputError where the file is missing, broken, holds code, or no weights.
    """
    if path.suffix == ".safetensors":
        return _plain(_read_safetensors(path), path)
    # Training scripts keep their options and best scores beside the weights; neither type runs code.
    with torch.serialization.safe_globals([argparse.Namespace, *_numpy_scalars()]):
        content = read_torch_file(path)
    state = content
    if isinstance(content, Mapping):
        state = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(
            f"{path} holds no state dict (names to tensors), at its top or under {', '.join(map(repr, _CONTAINERS))}"
        )
    return _plain(state, path)


def is_program(path: Path) -> str | None:
    """`torchscript` or `export` where the file holds a network with its code, else None."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        # Every name stands below a folder that is called as the file was when it was written.
        names = {name.partition("/")[2] for name in archive.namelist()}
    if names & {"archive_format", "models/model.json"}:
        return "export"
    return "torchscript" if "constants.pkl" in names else None


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path} is missing")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file, or was cut short ({error}): download it again") from None


def _plain(state: Mapping[str, Tensor], path: Path) -> Weights:
    state = dict(state)
    while wrapper := next((prefix for prefix in _WRAPPERS if all(key.startswith(prefix) for key in state)), None):
        state = {key.removeprefix(wrapper): value for key, value in state.items()}
    mean, std = state.pop("normalizer.new_mean", None), state.pop("normalizer.new_std", None)
    if mean is None or std is None:
        return Weights(state)
    # AttackerModel registers its network and normaliser twice. Copies are dropped, anything else is left to be refused.
    for copy in [key for key in state if key.startswith("attacker.")]:
        original = state.get(copy.removeprefix("attacker."))
        if copy.startswith("attacker.normalize.") or (original is not None and torch.equal(original, state[copy])):
            del state[copy]
    network = {key.removeprefix("model."): value for key, value in state.items()}
    if len(network) != len(state):
        raise InputError(f"{path} holds weights with and without `model.` under one name: save its network alone")
    return Weights(network, _statistics(mean, path), _statistics(std, path))


def _statistics(values: Tensor, path: Path) -> tuple[float, ...]:
    if values.numel() != 3:
        raise InputError(f"{path} normalises {values.numel()} channels, expected 3 (RGB)")
    return tuple(values.flatten().double().tolist())


def _numpy_scalars() -> list[Callable[..., Any]]:
    kinds = (np.float32, np.float64, np.int64)
    return [np.dtype, multiarray.scalar, *(type(np.dtype(kind)) for kind in kinds)]
