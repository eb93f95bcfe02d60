"""Which device and which number format a run uses."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bgdata.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device of `runtime.device`: `auto` is CUDA where there is one.

    Raises InputError where the device is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"runtime.device is {name!r}, expected auto, cpu, cuda or cuda:<number>") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"runtime.device is {name!r}, expected auto, cpu, cuda or cuda:<number>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(
            f"runtime.device is {name}, and PyTorch {torch.__version__} sees {count} CUDA devices: set it to auto or "
            "cpu, or install a PyTorch built for this machine's CUDA"
        )
    return device


def gpu_count(name: str) -> int:
    """How many of this machine's GPUs `runtime.device` means: all for `auto` and `cuda`, one that is named by number,
    none for the CPU.
    """
    if name in ("auto", "cuda"):
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return 1 if name.startswith("cuda") else 0


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """The format in which training multiplies: `auto` is bfloat16 where the hardware computes in it."""
    if precision == "auto":
        fast = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else _cpu_computes_bfloat16()
        )
        return torch.bfloat16 if fast else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def _cpu_computes_bfloat16() -> bool:
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch with one thread inside the block: sums in one order on every machine, and small networks are faster."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Multiply in `precision` inside the block, where it is not float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """cuDNN deterministic and in full float32 (no TF32) inside the block; the CPU is both anyway."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
