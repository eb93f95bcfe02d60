"""Ray Core: tasks on a standing cluster, or on one of this machine's own."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bgdata.engines.base import Work
from bgdata.engines.settings import EngineSettings
from bgdata.engines.worker import Place, set_place
from bgdata.errors import InputError


def open_engine(settings: EngineSettings, scratch: Path) -> "RayEngine":
    """The engine; its workers must see `scratch`.

    Raises InputError where Ray is not installed.
    """
    if find_spec("ray") is None:
        raise InputError("runtime.engine is ray, which is not installed: run `make scale`, or set it to local")
    return RayEngine(settings, scratch)


class RayEngine:
    """Connects to Ray, or starts it, with the first work that has tasks; keeps that until it is closed."""

    def __init__(self, settings: EngineSettings, scratch: Path) -> None:
        self._settings = settings
        self._scratch = scratch
        self._opened = ExitStack()
        self._place: Place | None = None

    def run(self, work: Work, done: Callable[[int], None], *, workers: int) -> None:
        """Make every task. `workers`: how many cores a cluster of this machine's own lends; a standing one has its own.

        Raises InputError where no cluster answers, a worker has other code or does not see the scratch folder,
        `cuda` is asked and there is no GPU, or a task fails more than `task_retries` times.
        """
        if not work.tasks:
            return
        if self._place is None:
            self._enter(workers)
        # Here: without Ray this module can be imported, and a stage without tasks does not wait for it.
        from bgdata.engines._ray_crews import Cores, Keepers
        from bgdata.engines._ray_tries import Tries

        network = work.network
        crew = (
            Cores(window=self._settings.ray.window)
            if network is None
            else Keepers(network, entering=self._call(Work(_nothing, [()])), address=self._address)
        )

        def call(number: int) -> bytes:
            return self._call(replace(work, tasks=[work.tasks[number]], network=None))

        Tries(call, len(work.tasks), crew, label=work.label, settings=self._settings).make_all(done)

    def close(self) -> None:
        """End this driver's workers, and a cluster of its own."""
        self._place = None
        self._opened.close()

    @property
    def _address(self) -> str:
        return self._settings.ray.address or "this machine"

    def _enter(self, workers: int) -> None:
        from bgdata.engines._ray_cluster import ask_machines, connected

        self._opened.enter_context(connected(self._settings.ray.address, cores=workers))
        self._place = set_place(self._scratch)
        self._opened.callback(self._place.sign.unlink, missing_ok=True)
        ask_machines(self._call(Work(_nothing, [()])))

    def _call(self, work: Work) -> bytes:
        from ray import cloudpickle

        return cloudpickle.dumps((self._place, work))


def _nothing(*_: Any) -> int:
    """A task that finds out whether a worker can have any; with a network it is built."""
    return 0
