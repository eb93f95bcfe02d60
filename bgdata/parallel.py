"""Work spread over processes or machines, with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from tqdm import tqdm

from bgdata.engines.base import Engine, Network, Work
from bgdata.engines.local import LocalEngine, worker_processes, worker_was_killed

_CHUNK = 8  # items that a process is given at once
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# The process's one choice of where its tasks run, as its logging is: sixty callers need not hand it on.
_engine: Engine = LocalEngine()


@contextmanager
def spread_by(engine: Engine) -> Iterator[None]:
    """Let `run_tasks` inside the block run on an engine, which is closed at its end."""
    global _engine
    before, _engine = _engine, engine
    try:
        yield
    finally:
        _engine = before
        engine.close()


def run_tasks(
    function: Callable[..., int | Iterator[int]],
    tasks: Sequence[tuple[Any, ...]],
    *,
    workers: int,
    total: int,
    label: str,
    unit: str,
    network: Network | None = None,
) -> None:
    """Call `function(*task)` for each task, on the engine in use: by itself in `workers` processes (1: in this one).

    Each call answers how many units it finished, or yields them; the bar counts to `total`. With a `network` each
    worker builds it once, and calls are `function(network, *task)`. The first error stops the rest and is raised.
    What a task writes must be whole, and the same however often it is made (`bgdata.engines.base.Work`).
    """
    work = Work(function, tasks, network, label)
    with tqdm(total=total, desc=label, unit=unit, mininterval=1.0) as bar:
        _engine.run(work, bar.update, workers=workers)


def map_tasks(function: Callable[[_Item], _Result], items: Sequence[_Item], *, workers: int) -> Iterator[_Result]:
    """What `function` makes of each item, in their order, by `workers` processes of this machine (1: in this one)."""
    if workers == 1 or len(items) <= 1:
        yield from map(function, items)
        return
    with worker_processes(min(workers, len(items))) as pool:
        try:
            yield from pool.map(function, items, chunksize=_CHUNK)
        except BrokenProcessPool as error:
            raise worker_was_killed() from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def read_ahead(read: Callable[[_Item], _Result], items: Sequence[_Item]) -> Iterator[_Result]:
    """What `read` makes of each item, in their order; the next one is read in a thread while the last is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for item in items:
            last, coming = coming, pool.submit(read, item)
            if last is not None:
                yield last.result()
        if coming is not None:
            yield coming.result()
