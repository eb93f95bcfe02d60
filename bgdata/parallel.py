"""Work spread over processes, with a progress bar, that ends when its parent does."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

from bgdata.errors import InputError
from bgdata.lifetime import end_with_parent

_CHUNK = 8  # items that a process is given at once
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_tasks(
    function: Callable[..., int], tasks: Sequence[tuple[Any, ...]], *, workers: int, total: int, label: str, unit: str
) -> None:
    """Call `function(*task)` for each task in `workers` processes (1: in this one).

    Each call returns how many units it finished; the bar counts to `total`. The first error stops the rest and is
    raised.
    """
    with tqdm(total=total, desc=label, unit=unit, mininterval=1.0) as bar:
        if workers == 1 or len(tasks) <= 1:
            for task in tasks:
                bar.update(function(*task))
            return
        _run_in_processes(function, tasks, workers, bar)


def map_tasks(function: Callable[[_Item], _Result], items: Sequence[_Item], *, workers: int) -> Iterator[_Result]:
    """What `function` makes of each item, in their order, by `workers` processes (1: in this one)."""
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


def worker_processes(count: int) -> ProcessPoolExecutor:
    """Processes that end when this one does, leave Ctrl-C to it, and have one OpenCV thread each."""
    # spawn: a fork of a process with OpenMP or OpenCV threads can hang.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))


def worker_was_killed() -> InputError:
    """What to say where the system or a person killed one of them (BrokenProcessPool)."""
    return InputError(
        "a worker process was killed (out of memory, or by hand): run again, with fewer runtime.workers "
        "where memory is short; what was finished is kept"
    )


def _run_in_processes(
    function: Callable[..., int], tasks: Sequence[tuple[Any, ...]], workers: int, bar: "tqdm[Any]"
) -> None:
    with worker_processes(min(workers, len(tasks))) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        for future in futures:
            future.add_done_callback(
                lambda done: None if done.cancelled() or done.exception() else bar.update(done.result())
            )
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BrokenProcessPool as error:
            raise worker_was_killed() from error
        except BaseException:
            # The rest of a shard may take minutes; nobody waits for it to read an error.
            for process in list(pool._processes.values()):
                process.kill()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    cv2.setNumThreads(1)
    end_with_parent(parent)
