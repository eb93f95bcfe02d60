"""Who makes tasks on a Ray cluster: any of its cores, or actors that hold a network."""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray import ObjectRefGenerator

from bgdata.engines.base import Network
from bgdata.engines.worker import checkout
from bgdata.errors import InputError


def _by_value(path: Path) -> Any:
    """A module outside all packages, whose functions Ray sends whole: workers may find no bgdata to import."""
    spec = importlib.util.spec_from_file_location("sent_by_value", path)
    assert spec and spec.loader, "a file of this package"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WORKER = _by_value(Path(__file__).with_name("_ray_worker.py"))


class Crew(ABC):
    """Starts tries of tasks. A try is a generator of Ray's: None once it has started, then what came of it."""

    resource: str  # Ray's name for what it needs

    def grow(self, unfinished: int) -> Iterator[ObjectRefGenerator]:  # noqa: ARG002
        """Take in further workers where so many unfinished tasks need them; yields the first try of each."""
        yield from ()

    @abstractmethod
    def has_room(self, tries: int) -> bool:
        """Whether a task can be tried beside so many tries."""

    @abstractmethod
    def start(self, call: bytes) -> ObjectRefGenerator:
        """Try a task."""

    def ended(self, given: ObjectRefGenerator) -> None:  # noqa: B027
        """Told that a try came to its end."""

    @abstractmethod
    def drop(self, given: ObjectRefGenerator) -> None:
        """Kill the worker of a try."""

    def close(self) -> None:  # noqa: B027
        """Kill workers without a try."""


class Cores(Crew):
    """Any core of the cluster that is free; `window` tasks are in flight for each."""

    resource = "CPU"

    def __init__(self, *, window: int) -> None:
        self._make = ray.remote(num_cpus=1, max_retries=0)(WORKER.make)
        self._window = window

    def has_room(self, tries: int) -> bool:
        """By the cores that the cluster has now."""
        return tries < self._window * ray.cluster_resources().get("CPU", 0)

    def start(self, call: bytes) -> ObjectRefGenerator:
        """Hand a task to Ray."""
        return self._make.remote(str(checkout()), call)

    def drop(self, given: ObjectRefGenerator) -> None:
        """Kill the process."""
        ray.cancel(given, force=True)


class Keepers(Crew):
    """Actors that hold a network: one a GPU, or one a machine with all its cores as threads.

    Each has one task at a time: none waits for a device while another is free.
    """

    def __init__(self, network: Network, *, entering: bytes, address: str) -> None:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if network.device.startswith("cuda:"):
            raise InputError(
                f"runtime.device is {network.device}, but each worker of a cluster sees one GPU alone: set it to cuda"
            )
        if network.device == "cuda" and gpus == 0:
            raise InputError(
                f"the cluster at {address} has no GPU, but runtime.device is cuda: start Ray on machines that have "
                "some, or set runtime.device to auto or cpu"
            )
        cores = [int(node["Resources"]["CPU"]) for node in working_nodes() if "CPU" in node["Resources"]]
        by_gpu = gpus > 0 and network.device != "cpu"
        self.resource = "GPU" if by_gpu else "CPU"
        self._count = gpus if by_gpu else len(cores)
        threads = max(1, sum(cores) // gpus) if by_gpu else min(cores, default=1)
        variables = {"OMP_NUM_THREADS": str(threads)} | ({} if by_gpu else {"CUDA_VISIBLE_DEVICES": ""})
        self._actor = ray.remote(WORKER.Keeper).options(
            num_cpus=0 if by_gpu else threads,
            num_gpus=1 if by_gpu else 0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": variables},
        )
        self._starting = (str(checkout()), ray.cloudpickle.dumps(network))
        self._entering = entering
        self._idle: list[Any] = []
        self._busy: dict[ObjectRefGenerator, Any] = {}

    def grow(self, unfinished: int) -> Iterator[ObjectRefGenerator]:
        """As many as there are devices, and no more than tasks. Its first call builds the network: until Ray has found
        a place for an actor, which may be never, it is given no task.
        """
        while len(self._idle) + len(self._busy) < min(self._count, unfinished):
            self._idle.append(self._actor.remote(*self._starting))
            yield self.start(self._entering)

    def has_room(self, tries: int) -> bool:  # noqa: ARG002
        """Whether one is idle."""
        return bool(self._idle)

    def start(self, call: bytes) -> ObjectRefGenerator:
        """Give a task to the one that has waited least."""
        actor = self._idle.pop()
        given = actor.make.remote(call)
        self._busy[given] = actor
        return given

    def ended(self, given: ObjectRefGenerator) -> None:
        """It is idle again."""
        self._idle.append(self._busy.pop(given))

    def drop(self, given: ObjectRefGenerator) -> None:
        """Kill the actor."""
        ray.kill(self._busy.pop(given))

    def close(self) -> None:
        """Kill the idle ones."""
        while self._idle:
            ray.kill(self._idle.pop())


def working_nodes() -> list[dict[str, Any]]:
    """The machines of the cluster on which tasks can run (`ray.nodes`): a head may lend nothing."""
    return [node for node in ray.nodes() if node["Alive"] and {"CPU", "GPU"} & node["Resources"].keys()]
