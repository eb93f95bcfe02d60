"""Weights in files, whoever wrote them: one network's, and the normalisation that lies beside it, if any."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from bgdata.errors import InputError
from models.weights.files import describe_misfit, not_a_file, read_torch_file
from models.weights.kinds import is_safetensors, zip_names
from models.weights.readings import ANY, WRAPPERS_AND_PARALLEL, Choice, Reading, TensorFile, answer, distinct

_ASK = "say which with --key and --prefix"


@dataclass(frozen=True)
class Weights:
    """A plain state dict; `mean` and `std` where the file says how inputs were normalised.

    `record` is what a result file says of how they were read: nothing where the file holds this one state dict.
    """

    state: Mapping[str, Tensor]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def read_content(path: Path) -> Any:
    """What a file of weights holds, safetensors or what `torch.save` wrote, by its content; no code is run.

    Raises InputError where the file is missing, broken, holds code, or is something else.
    """
    if not path.is_file():
        raise InputError(not_a_file(path))
    if not is_safetensors(path):
        return read_torch_file(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is a safetensors file that was cut short ({error}): download it again") from None


def read_weights(
    path: Path, network: nn.Module, *, choice: Choice = ANY, free: Collection[str] = (), ask: str = _ASK
) -> Weights:
    """The weights of a network in a file (see `choose_weights`)."""
    return choose_weights(read_content(path), path, network, choice=choice, free=free, ask=ask)


def choose_weights(
    content: Any,
    path: Path,
    network: nn.Module,
    *,
    choice: Choice = ANY,
    free: Collection[str] = (),
    unneeded: Collection[str] = (),
    ask: str = _ASK,
) -> Weights:
    """The weights of a network in the content of a file, under whatever key and prefix they fill it whole.

    Those in `free` may have another shape (a head for other classes), those `unneeded` are the network's own, but not
    asked for. MadryLab's normaliser (robustness) is read where it lies beside the network. What is left over, if
    anything, is said on the terminal and in the record.

    Raises InputError where no reading fits, or several with other weights each, of which `choice` names no one.
    """
    file, equals = _find_reading(content, path, network, choice=choice, free=free, ask=ask)
    reading = equals[0]
    _check_finite(reading, network.state_dict(), path)
    normaliser = _normaliser(file, reading.root.removesuffix("model."))
    taken = {each for twin in equals for each in twin.paths | {twin.root + name for name in unneeded}}
    left_over = file.left_over(reading, (taken | normaliser.keys()) & file.homes.keys())
    record = {"key": reading.key, "prefix": reading.prefix, "left_over": left_over} if left_over else {}
    if left_over:
        tqdm.write(f"{path}: read from {reading.root}*; left over: {', '.join(left_over)}", file=sys.stderr)
    mean, std = (next((v for k, v in normaliser.items() if k.endswith(end)), None) for end in ("_mean", "_std"))
    if mean is None or std is None:
        return Weights(reading.state, record=record)
    return Weights(reading.state, _statistics(mean, path), _statistics(std, path), record)


def _find_reading(
    content: Any, path: Path, network: nn.Module, *, choice: Choice, free: Collection[str], ask: str
) -> tuple[TensorFile, list[Reading]]:
    """The one reading that fits and is meant, with those of equal weights behind it, and the file that it is of."""
    expected = network.state_dict()
    plain = TensorFile(content) if isinstance(content, Mapping | list | tuple) else TensorFile({})
    if not plain.tensors:
        raise InputError(f"{path} {_no_state(content)}")
    fitting: list[Reading] = []
    for file in (plain, TensorFile(content, WRAPPERS_AND_PARALLEL)):
        found = file.readings(expected) or file.readings(expected, free=free)
        groups = distinct([reading for reading in found if choice.means(reading)])
        if len(groups) > 1:
            listed = _answers([group[0] for group in groups])
            raise InputError(f"{path} holds {len(groups)} networks that fit, with other weights each ({listed}): {ask}")
        if groups:
            return file, groups[0]
        fitting = fitting or found
    if not plain.state_dicts() and not plain.is_list():
        raise InputError(f"{path} {_no_state(content)}")
    raise InputError(_no_reading(plain, path, expected, choice, fitting, free))


def is_program(path: Path) -> str | None:
    """`torchscript` or `export` where the file holds a network with its code, else None."""
    # Every name stands below a folder that is called as the file was when it was written.
    names = {name.partition("/")[2] for name in zip_names(path) or ()}
    if names & {"archive_format", "models/model.json"}:
        return "export"
    return "torchscript" if "constants.pkl" in names else None


def _normaliser(file: TensorFile, root: str) -> dict[str, Tensor]:
    """MadryLab's mean and standard deviation at a root, and their copies in its attacker, by path."""
    names = [f"{place}.new_{kind}" for place in ("normalizer", "attacker.normalize") for kind in ("mean", "std")]
    return {root + name: file.tensors[root + name] for name in names if root + name in file.tensors}


def _answers(readings: list[Reading]) -> str:
    return ", ".join(f"`{answer(reading, readings)}`" for reading in readings)


def _check_finite(reading: Reading, expected: Mapping[str, Tensor], path: Path) -> None:
    for name, value in reading.state.items():
        # As the network will hold it; some networks hold infinities themselves, in masks.
        count = int((~value.float().isfinite()).sum()) if value.is_floating_point() else 0
        if count and expected[name].isfinite().all():
            raise InputError(
                f"{path}: {count} of {value.numel()} values of {name} are NaN or infinite: its training diverged, or "
                "the file is damaged; such a network judges nothing"
            )


def _no_state(content: Any) -> str:
    keys = [str(key) for key in content] if isinstance(content, Mapping) else []
    found = f"it holds {', '.join(keys[:8])}" if keys else f"its content is of type {type(content).__name__}"
    return f"holds no state dict (names to tensors), at its top or under a key: {found}"


def _no_reading(
    file: TensorFile,
    path: Path,
    expected: Mapping[str, Tensor],
    choice: Choice,
    fitting: list[Reading],
    free: Collection[str],
) -> str:
    """Why nothing in a file fits a network, and what there is."""
    states = file.state_dicts()
    if file.is_list():
        return f"{path} holds a list of {len(file.tensors)} tensors without names: save the network's state_dict()"
    held = ", ".join(f"{key or 'at the top'} ({count} tensors)" for key, count in [*states.items()][:6])
    closest = file.closest(expected, choice)
    if closest is None or fitting:
        fits = f"; what fits is {_answers(fitting)}" if fitting else ""
        return f"{path} holds no such network under the --key and --prefix given; it holds {held}{fits}"
    misfit = describe_misfit(expected, closest.state, free)
    where = f" (read from {closest.root}*)" if closest.root else ""
    others = f"; the file holds {held}" if len(states) > 1 else ""
    return f"the weights of {path} do not fit the network{where}: {misfit}{others}"


def _statistics(values: Tensor, path: Path) -> tuple[float, ...]:
    if values.numel() != 3:
        raise InputError(f"{path} normalises {values.numel()} channels, expected 3 (RGB)")
    return tuple(values.flatten().double().tolist())
