"""Weights: files that are read without running code and written whole, and state dicts that must fit."""

import hashlib
import pickle
import platform
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bgdata.errors import InputError


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote, if it is tensors and plain containers alone.

    Raises InputError where the file is missing, no checkpoint, cut short, or holds code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing") from None
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "global" in str(error):
            raise InputError(
                f"{path} holds Python objects besides tensors, which could run code when loaded: "
                "save its plain state dict again and give that"
            ) from None
        raise InputError(_no_checkpoint(path)) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError):
        raise InputError(_no_checkpoint(path)) from None


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], *, source: str, resizable: Collection[str] = ()
) -> None:
    """Load a state dict strictly; where a `resizable` key has another shape, the network keeps what it has.

    Raises InputError listing missing, unexpected and wrongly shaped keys.
    """
    expected = network.state_dict()
    state = dict(state)
    if state and all(key.startswith("module.") for key in state):  # written by DataParallel
        state = {key.removeprefix("module."): value for key, value in state.items()}
    wrong = [key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape]
    state |= {key: expected[key] for key in wrong if key in resizable}
    wrong = [key for key in wrong if key not in resizable]
    faults = {
        # Networks saved before PyTorch 0.4.1 have no such counters, and need none.
        "missing": [key for key in expected.keys() - state.keys() if not key.endswith("num_batches_tracked")],
        "unexpected": list(state.keys() - expected.keys()),
        "wrong shape": [f"{key} {_shape(state[key])}, expected {_shape(expected[key])}" for key in wrong],
    }
    if any(faults.values()):
        listed = "; ".join(f"{fault}: {_listing(keys)}" for fault, keys in faults.items() if keys)
        raise InputError(f"the weights of {source} do not fit the network: {listed}")
    network.load_state_dict(state)


def save_network(
    path: Path, network: nn.Module, record: Mapping[str, Any], *, versions: Mapping[str, str]
) -> dict[str, Any]:
    """Write a network's weights with their record; returns the record with `versions` of libraries and Python's.

    The file is written whole, and its bytes depend on the content alone.
    """
    built = {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__}
    complete = {**record, "versions": built | dict(versions)}
    state = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    save_whole({"state_dict": state, **complete}, path)
    return complete


def read_network(path: Path, needed: Collection[str], *, stage: str, advice: str) -> tuple[dict[str, Tensor], Any]:
    """The weights that `save_network` wrote, and their record.

    Raises InputError where the file is missing, broken or holds code, or where its record lacks what is needed: then
    another program than `stage` wrote it, and `advice` says what to do.
    """
    content = read_torch_file(path)
    wanted = ("state_dict", *needed)
    missing = [key for key in wanted if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(f"{path} was not written by the {stage} stage (it lacks {', '.join(missing)}): {advice}")
    return content.pop("state_dict"), content


def save_whole(content: Any, path: Path) -> None:
    """`torch.save` so that a kill leaves the old file or the new one."""
    partial = path.with_name(f"{path.name}.tmp")
    torch.save(content, partial)
    partial.replace(path)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listing(keys: list[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(sorted(keys)[:limit]) + more


def _no_checkpoint(path: Path) -> str:
    size = path.stat().st_size if path.is_file() else 0
    return f"{path} ({size} bytes) is no PyTorch checkpoint, or was cut short: make or download it again"
