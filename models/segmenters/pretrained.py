"""Published weights: from the file that was fetched into a network, every key accounted for."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from bgdata.errors import InputError
from models.weights.files import load_weights, read_torch_file


def load_published(network: nn.Module, path: Path, *, under: str | None = None, unneeded: Sequence[str] = ()) -> None:
    """Load the state dict that a file holds at its top or `under` a key; the `unneeded` keys are left out if there.

    Raises InputError where the file is missing, cut short, holds code or another network's weights.
    """
    if not path.is_file():
        raise InputError(
            f"the weights {path} are missing: run `dvc repro fetch_weights` (runtime.mirror names another server or a "
            "folder to take them from), or put the file there"
        )
    content = read_torch_file(path)
    state = content if under is None or not isinstance(content, dict) else content.get(under)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        place = "at its top" if under is None else f"under {under!r}"
        raise InputError(f"{path} holds no state dict {place}: it is another network's checkpoint; fetch it again")
    needed = {key.removeprefix("module."): value for key, value in state.items()}  # as DataParallel writes them
    for key in unneeded:
        needed.pop(key, None)
    load_weights(network, needed, source=str(path))
