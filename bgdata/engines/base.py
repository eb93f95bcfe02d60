"""What an engine is given, and what it answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Network:
    """What a worker builds once and keeps on a device, as a network: tasks get it as their first argument.

    `device` is runtime.device (auto: CUDA where there is one). `gpus`: how many of this machine's GPUs it means. Of
    several workers each sees one GPU alone, or none.
    """

    build: Callable[[], Any]
    device: str
    gpus: int


@dataclass(frozen=True)
class Work:
    """Tasks, each `function(*task)` or, with a network, `function(network, *task)`.

    A call answers how many units it has finished, or is a generator that yields them as they are. It writes its files
    whole, and the same bytes whenever it is made again: so an engine may make a task twice, also at the same time.
    Function, tasks and `network.build` can be pickled.
    """

    function: Callable[..., int | Iterator[int]]
    tasks: Sequence[tuple[Any, ...]]
    network: Network | None = None
    label: str = ""


@runtime_checkable
class Engine(Protocol):
    """What makes all tasks of some work."""

    def run(self, work: Work, done: Callable[[int], None], *, workers: int) -> None:
        """Make every task; `done` is told of the units that were finished. The first error stops the rest and is
        raised.

        `workers`: processes on this machine; an engine of several machines has its own number.
        """
        ...

    def close(self) -> None:
        """Let go of what was started."""
        ...


def finish(result: int | Iterator[int], done: Callable[[int], None]) -> None:
    """Tell `done` of what a task finishes, as it does."""
    for count in (result,) if isinstance(result, int) else result:
        done(count)
