"""What a worker of a Ray cluster runs. It is sent by value, so that it can say where the project's code is missing."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any


def answer(checkout: str, call: bytes, first: Callable[[], tuple[Any, ...]] | None = None) -> int | str | Exception:
    """What comes of `call`, a pickled (place, work of one task): its units, or the error that the driver raises.

    A sentence where the driver's checkout, or a package, is not there. `first` makes what a task gets before its own
    arguments.
    """
    from ray import cloudpickle

    try:
        from bgdata.engines.worker import attempt

        place, work = cloudpickle.loads(call)
    except ImportError as error:
        return _missing(checkout, str(error.name))
    if first is not None:
        function = work.function
        work = replace(work, function=lambda *task: function(*first(), *task))
    return attempt(place, work, 0)


def _missing(checkout: str, module: str) -> str:
    worker = f"the worker on {socket.gethostname()}"
    if module.startswith("bgdata"):
        return (
            f"{worker} does not see {checkout}: check the project out on storage that all machines share, at one path"
        )
    return f"{worker} cannot import {module}: give all machines the packages of the driver"


def make(checkout: str, call: bytes) -> Iterator[Any]:
    """Say that a task has started (None), then what comes of it."""
    yield None
    yield answer(checkout, call)


class Keeper:
    """Holds a network, and makes tasks with it one after the other."""

    def __init__(self, checkout: str, network: bytes) -> None:
        self._checkout = checkout
        self._pickled = network
        self._built: tuple[Any, ...] = ()

    def make(self, call: bytes) -> Iterator[Any]:
        """Say that a task has started (None), then what comes of it."""
        yield None
        yield answer(self._checkout, call, self._network)

    def _network(self) -> tuple[Any, ...]:
        """Built by the first task, in the driver's folder: an error keeps its sentence."""
        from ray import cloudpickle

        if not self._built:
            self._built = (cloudpickle.loads(self._pickled).build(),)
        return self._built
