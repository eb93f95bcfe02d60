"""Several processes that train one classifier together, as torchrun starts them.

Each makes the same batches, from the same generators, and steps on a part of its own; gradients are averaged. This
differs from one process: batch norms measure their process's part alone (their statistics are averaged once an epoch);
dropout, and the noise of smoothed penalties, are drawn for the part.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.training.parts import Batch

# How long the others wait for one that decodes its sets.
_PATIENCE = timedelta(hours=2)


@contextmanager
def process_group(device: torch.device, local_rank: int | None) -> Iterator[torch.device]:
    """Join torchrun's other processes inside the block; yields this one's device. `local_rank` None: it is alone.

    On CUDA each has the GPU of its local rank.
    """
    if local_rank is None:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process is the one that writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def first_ones(value: Any) -> Any:
    """The first process's value, in each process."""
    values = [value]
    if process_count() > 1:
        dist.broadcast_object_list(values, src=0)
    return values[0]


def own_part(batch: Batch) -> Batch:
    """This process's part of a batch; all parts have one size."""
    count = process_count()
    if count == 1:
        return batch
    size = len(batch.labels) // count
    place = slice(dist.get_rank() * size, (dist.get_rank() + 1) * size)
    tensors = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{name: tensor[place] for name, tensor in tensors.items() if tensor is not None})


def average_gradients(module: nn.Module) -> None:
    """Put the mean of all processes' gradients in the place of each one's own."""
    _average([parameter.grad for parameter in module.parameters() if parameter.grad is not None])


def average_buffers(module: nn.Module) -> None:
    """Put the mean of all processes' buffers in the place of each one's own."""
    _average([buffer for buffer in module.buffers() if buffer.is_floating_point()])


def average(value: Tensor) -> Tensor:
    """The mean of all processes' values, without gradient."""
    value = value.detach().clone()
    _average([value])
    return value


@torch.no_grad()
def _average(tensors: list[Tensor]) -> None:
    if process_count() == 1:
        return
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        together = torch.cat([tensor.reshape(-1) for tensor in alike])
        dist.all_reduce(together)
        together /= process_count()
        for tensor, mean in zip(alike, torch.split(together, [tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(mean.view(tensor.shape))
