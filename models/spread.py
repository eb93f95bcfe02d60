"""Networks on the devices of workers: what `bgdata.parallel.run_tasks` needs to know, which knows no network."""

from collections.abc import Callable
from functools import partial
from typing import Any

from bgdata.engines.base import Network


def network_on(device: str, build: Callable[..., Any], *arguments: Any) -> Network:
    """A network that each worker makes by `build(*arguments)`, on `device` (runtime.device): this machine's GPUs have
    one each.
    """
    from models.devices import gpu_count  # here: workers without networks need no torch

    return Network(partial(build, *arguments), device, gpu_count(device))
