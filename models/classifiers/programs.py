"""Networks that come with their code: TorchScript, torch.export, and a function of the user's own Python."""

import importlib
import os
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from bgdata.errors import InputError

_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
# What torch.export unpickles whatever that variable says.
_PICKLED = ("opaque_obj_", "custom_obj_")


class Program(nn.Module):
    """A loaded program as a network; one made for a fixed batch is fed in that batch, padded."""

    def __init__(self, run: Callable[[Tensor], Tensor], *, batch: int | None = None, side: int | None = None) -> None:
        super().__init__()
        # A registered module where it is one, so that it moves with its wrapper.
        self.run = run
        self.batch = batch
        self.side = side

    def train(self, mode: bool = True) -> "Program":
        """Exported programs have no modes and refuse to be asked; they stay as they were exported."""
        self.training = mode
        return self

    def forward(self, images: Tensor) -> Tensor:
        """The program's outputs, `B classes`."""
        if self.batch is None:
            return self.run(images)
        count = len(images)
        padded = torch.cat([images, images[-1:].expand(-count % self.batch, -1, -1, -1)])
        return torch.cat([self.run(part) for part in torch.split(padded, self.batch)])[:count]


def load_torchscript(path: Path) -> Program:
    """A TorchScript file; its language reaches tensors alone.

    Raises InputError where it cannot be read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # deprecated, and what many published models are kept as
        try:
            return Program(torch.jit.load(path, map_location="cpu").eval())  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path} is no TorchScript that this PyTorch reads ({_first_line(error)})") from None


def load_exported(path: Path) -> Program:
    """A program written by `torch.export.save`, with the batch and image size that it was exported for.

    Raises InputError where it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        foreign = [name for name in archive.namelist() if Path(name).name.startswith(_PICKLED)]
    if foreign:
        raise InputError(
            f"{path} holds Python objects ({foreign[0]}), which could run code when loaded: export it without"
        )
    try:
        with _weights_only():
            exported = torch.export.load(path)
    except Exception as error:  # torch.export raises whatever its parts raise
        raise InputError(f"{path} is no exported program that this PyTorch reads ({_first_line(error)})") from None
    users = set(exported.graph_signature.user_inputs)
    inputs = [node for node in exported.graph.nodes if node.op == "placeholder" and node.name in users]
    if len(inputs) != 1 or len(inputs[0].meta["val"].shape) != 4:
        raise InputError(f"{path} takes {len(inputs)} inputs, expected one: images, batch 3 height width")
    batch, _, height, width = inputs[0].meta["val"].shape
    side = height if isinstance(height, int) and height == width else None
    return Program(exported.module(), batch=batch if isinstance(batch, int) else None, side=side)


@contextmanager
def _weights_only() -> Iterator[None]:
    """`torch.export.load` falls back to unpickling anything; this variable of PyTorch's keeps it from that."""
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def load_entry(entry: str, checkpoint: Path | None) -> nn.Module:
    """What `module:function` returns: a network that takes images in [0, 1] and normalises them itself.

    The function is called without arguments, or with the checkpoint's path where one is given; it is the user's code.

    Raises InputError where its module cannot be imported, there is no such function, it raises, or returns no network.
    """
    module_name, _, function_name = entry.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{entry!r} is no function that can be imported ({error}): expected module:function") from None
    except (Exception, SystemExit) as error:  # their code raises what it likes; a script may parse its own arguments
        raise InputError(f"{entry}: importing {module_name} raised {_raised(error)}") from None
    try:
        network = function(checkpoint) if checkpoint else function()
    except (Exception, SystemExit) as error:
        raise InputError(f"{entry} raised {_raised(error)}") from None
    if not callable(network):
        raise InputError(f"{entry} returned {type(network).__name__}, expected a network (torch.nn.Module)")
    return network if isinstance(network, nn.Module) else Program(network)


def _raised(error: BaseException) -> str:
    """An error of the user's code in a line: its kind, its words, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__}: {_first_line(error)}{place}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
