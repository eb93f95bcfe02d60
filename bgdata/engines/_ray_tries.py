"""All tasks of some work on a Ray cluster: started, made again where a worker is lost or too slow, and counted once."""

import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray import ObjectRefGenerator
from ray.exceptions import RayError, RayTaskError
from tqdm import tqdm

from bgdata.engines._ray_cluster import raise_mistake
from bgdata.engines._ray_crews import Crew
from bgdata.engines.settings import EngineSettings
from bgdata.errors import InputError

_POLL = 1.0  # seconds


@dataclass
class _Try:
    task: int | None  # None: a worker that enters
    started: float | None = None


class Tries:
    """What is left of a work's tasks, and what is being tried.

    Ray's own retries are not used: they know no time limit, and would count what each try has finished.
    """

    def __init__(
        self, calls: Callable[[int], bytes], count: int, crew: Crew, *, label: str, settings: EngineSettings
    ) -> None:
        self._calls = calls
        self._crew = crew
        self._label = label
        self._settings = settings
        self._left = deque(range(count))
        self._unfinished = count
        self._failures: Counter[int | None] = Counter()
        self._running: dict[ObjectRefGenerator, _Try] = {}

    def make_all(self, done: Callable[[int], None]) -> None:
        """Make every task; the first error ends all workers and is raised."""
        try:
            while self._unfinished:
                self._start()
                self._take(done)
                self._give_up()
        finally:
            for given in self._running:
                self._crew.drop(given)
            self._crew.close()

    def _start(self) -> None:
        for given in self._crew.grow(self._unfinished):
            self._running[given] = _Try(None)
        while self._left and self._crew.has_room(len(self._running)):
            number = self._left.popleft()
            self._running[self._crew.start(self._calls(number))] = _Try(number)
        if not self._left:
            self._crew.close()  # others may want the devices; and one that waits could be lost unnoticed

    def _take(self, done: Callable[[int], None]) -> None:
        ready = ray.wait(list(self._running), timeout=_POLL, fetch_local=False)[0] if self._running else []
        if not ready and not ray.cluster_resources().get(self._crew.resource):
            raise InputError(
                f"the cluster has no {self._crew.resource} left: start machines and run again; what was finished is kept"
            )
        for given in ready:
            try:
                answer = ray.get(next(given))
            except RayTaskError as error:
                raise (error.cause or error) from error
            except RayError as error:
                name = type(error).__name__
                self._again(given, f"lost its worker ({name}: killed, out of memory, or its machine lost)")
                continue
            if answer is None:
                self._running[given].started = time.monotonic()
            else:
                self._finish(given, answer, done)

    def _finish(self, given: ObjectRefGenerator, answer: Any, done: Callable[[int], None]) -> None:
        raise_mistake(answer)
        ended = self._running.pop(given)
        self._crew.ended(given)
        if ended.task is None:
            del self._failures[None]  # only workers that fail one after the other tell of a fault
        else:
            self._unfinished -= 1
            done(answer)

    def _give_up(self) -> None:
        minutes = self._settings.task_minutes
        if minutes is None:
            return
        latest = time.monotonic() - 60 * minutes
        for given, each in list(self._running.items()):
            if each.started is not None and each.started < latest:
                self._again(given, f"took longer than runtime.task_minutes ({minutes:g})")

    def _again(self, given: ObjectRefGenerator, why: str) -> None:
        """Make a task again, in another process: what is left of this one goes."""
        failed = self._running.pop(given)
        self._crew.drop(given)
        self._failures[failed.task] += 1
        count = self._failures[failed.task]
        what = f"{'the start of a network' if failed.task is None else f'task {failed.task}'} of {self._label}"
        if count > self._settings.task_retries:
            raise InputError(
                f"{what} was tried {count} times, and {why}: mend that, or raise runtime.task_minutes or "
                "runtime.task_retries, and run again; what was finished is kept"
            )
        tqdm.write(f"{what} {why}: it is made again", file=sys.stderr)
        if failed.task is not None:
            self._left.appendleft(failed.task)
