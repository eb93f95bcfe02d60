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
from models.weights.kinds import describe_content
from models.weights.pickles import EnumStandIn, Leftover, Pickled, refused_names, scan_pickle, stand_in

# The protocol that torch.save writes and PyTorch's restricted unpickler reads.
_PROTOCOL = 2


def read_torch_file(path: Path) -> Any:
    """What `torch.save` wrote: tensors and plain containers; inert stand-ins for harmless objects beside them.

    Raises InputError where the file is missing, no checkpoint, cut short, or holds what could run code, by its name.
    """
    if not path.is_file():
        raise InputError(not_a_file(path))
    pickled = scan_pickle(path)
    if pickled is not None:
        _check_names(path, pickled)
    safe = [(found, name) for name in (pickled.names if pickled else ()) if (found := stand_in(name)) is not None]
    try:
        # An open file: of a path PyTorch would believe the ending.
        with path.open("rb") as file, torch.serialization.safe_globals([*safe, Leftover]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, TypeError) as error:
        # PyTorch refuses what is its own; or a stand-in was used as no enum is.
        named = [name for name in pickled.names if f"{name} " in str(error)] if pickled else []
        guilty = named or [name for found, name in safe if isinstance(found, EnumStandIn)]
        raise InputError(_could_run_code(path, guilty) if guilty else f"{path} {describe_content(path)}") from None
    except Exception:  # damaged files raise whatever their bytes lead to
        raise InputError(f"{path} {describe_content(path)}") from None


def not_a_file(path: Path) -> str:
    """What to say of a path that is no file: it is missing, or a folder, whose first entries are named."""
    if not path.is_dir():
        return f"{path} is missing"
    names = sorted(entry.name for entry in path.iterdir())
    listed = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return f"{path} is a folder ({listed or 'empty'}), no file"


def _check_names(path: Path, pickled: Pickled) -> None:
    network = [name for name in pickled.names if name.startswith("torch.nn.modules.")]
    if network and pickled.top is not None and not pickled.top.startswith("collections."):
        raise InputError(
            f"{path} is a whole pickled network ({pickled.top}), which could run code when loaded: give its state "
            "dict, torch.save(network.state_dict(), ...), or write --entry, a function that loads it"
        )
    if refused := refused_names(pickled.names) or network:
        raise InputError(_could_run_code(path, refused))
    if pickled.protocol > _PROTOCOL:
        raise InputError(
            f"{path} was pickled with protocol {pickled.protocol}, which PyTorch reads only by running what the file "
            f"says: save it again with torch.save's own (pickle_protocol={_PROTOCOL})"
        )


def _could_run_code(path: Path, names: list[str]) -> str:
    return (
        f"{path} holds Python objects besides tensors ({_listing(names)}), which could run code when loaded: "
        "save its plain state dict again and give that"
    )


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], *, source: str, resizable: Collection[str] = ()
) -> None:
    """Load a state dict strictly; where a `resizable` key has another shape, the network keeps what it has.

    Raises InputError listing missing, unexpected and wrongly shaped keys.
    """
    expected = network.state_dict()
    state = dict(state)
    wrong = [key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape]
    state |= {key: expected[key] for key in wrong if key in resizable}
    if misfit := describe_misfit(expected, state):
        raise InputError(f"the weights of {source} do not fit the network: {misfit}")
    network.load_state_dict(state)


def describe_misfit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], free: Collection[str] = ()) -> str:
    """What a state dict lacks, has too much, and has in other shapes than expected, but for those in `free`; or ""."""
    wrong = [key for key in expected.keys() & state.keys() - free if expected[key].shape != state[key].shape]
    faults = {
        "missing": [key for key in expected.keys() - state.keys() if not is_counter(key)],
        "unexpected": list(state.keys() - expected.keys()),
        "wrong shape": [f"{key} {_shape(state[key])}, expected {_shape(expected[key])}" for key in wrong],
    }
    return list_misfits(faults)


def list_misfits(faults: Mapping[str, Collection[str]]) -> str:
    """The keys of each fault that has any, the first few by name; or ""."""
    return "; ".join(f"{fault}: {_listing(keys)}" for fault, keys in faults.items() if keys)


def is_counter(key: str) -> bool:
    """Whether a key is of a batch norm's counter: networks saved before PyTorch 0.4.1 have none, and need none."""
    return key.endswith("num_batches_tracked")


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


def _listing(keys: Collection[str], limit: int = 5) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(sorted(keys)[:limit]) + more
