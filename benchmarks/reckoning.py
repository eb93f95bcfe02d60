"""What work would cost on a GPU, reckoned from its operations and from the bytes that eager PyTorch moves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

# Assumed shares of both peaks that eager PyTorch reaches.
ARITHMETIC, MEMORY = 0.4, 0.6


@dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes read and written."""

    flops: float
    moved: float


@dataclass(frozen=True)
class Gpu:
    """Dense bfloat16 TFLOP/s, GB/s of memory (NVIDIA's data sheets); dollars an hour (assumed, as clouds ask)."""

    peak: float
    bandwidth: float
    price: float

    def seconds(self, work: Work) -> float:
        """FLOP / (share of the peak) + bytes / (share of the bandwidth)."""
        return work.flops / (ARITHMETIC * self.peak * 1e12) + work.moved / (MEMORY * self.bandwidth * 1e9)


GPUS = {"L4": Gpu(121, 300, 0.8), "A100 80 GB": Gpu(312, 2039, 2.0), "H100 SXM": Gpu(989, 3350, 3.0)}


class _Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        answer = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.moved += sum(leaf.nbytes for leaf in tree_leaves((args, kwargs, answer)) if torch.is_tensor(leaf))
        return answer


@contextmanager
def counted() -> Iterator[list[Work]]:
    """The work of the block, in the list that it yields, once the block has ended."""
    work: list[Work] = []
    with _Traffic() as traffic, FlopCounterMode(display=False) as counter:
        yield work
    work.append(Work(counter.get_total_flops(), traffic.moved))
