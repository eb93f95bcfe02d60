"""This machine: processes that end when this one does; with a network one process a GPU."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.queues import SimpleQueue
from typing import Any

import cv2

from bgdata.engines.base import Network, Work, finish
from bgdata.errors import InputError
from bgdata.lifetime import end_with_parent

# What a worker process holds.
_network: Network | None = None


class LocalEngine:
    """The engine that needs none."""

    def run(self, work: Work, done: Callable[[int], None], *, workers: int) -> None:
        """Make every task: in this process where one is enough, as for a network on the CPU."""
        if work.network is not None:
            workers = max(work.network.gpus, 1)
        if workers == 1 or len(work.tasks) <= 1:
            first = () if work.network is None or not work.tasks else (work.network.build(),)
            for task in work.tasks:
                finish(work.function(*first, *task), done)
            return
        _run_in_processes(work, done, workers)

    def close(self) -> None:
        """Nothing stays."""


def worker_processes(count: int, *, network: Network | None = None) -> ProcessPoolExecutor:
    """Processes that end when this one does, leave Ctrl-C to it, and have one OpenCV thread each; with a network, each
    sees one GPU alone.
    """
    # spawn: a fork of a process with OpenMP or OpenCV threads can hang.
    context = multiprocessing.get_context("spawn")
    visible: SimpleQueue[str] = context.SimpleQueue()
    for gpu in _visible_gpus(network.gpus if network else 0):
        visible.put(gpu)
    starting = (os.getpid(), network, visible)
    return ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=starting)


def _visible_gpus(count: int) -> list[str]:
    """The names of this process's first GPUs, as CUDA_VISIBLE_DEVICES has them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]


def worker_was_killed() -> InputError:
    """What to say where the system or a person killed one of them (BrokenProcessPool)."""
    return InputError(
        "a worker process was killed (out of memory, or by hand): run again, with fewer runtime.workers "
        "where memory is short; what was finished is kept"
    )


def _run_in_processes(work: Work, done: Callable[[int], None], workers: int) -> None:
    count = min(workers, len(work.tasks))
    with worker_processes(count, network=work.network) as pool:
        futures = [pool.submit(_make, work.function, task) for task in work.tasks]
        for future in futures:
            future.add_done_callback(
                lambda done_one: None if done_one.cancelled() or done_one.exception() else done(done_one.result())
            )
        try:
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in finished:
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


def _make(function: Callable[..., Any], task: tuple[Any, ...]) -> int:
    counts: list[int] = []
    finish(function(*_built(), *task), counts.append)
    return sum(counts)


@cache
def _built() -> tuple[Any, ...]:
    """The process's network, built with its first task: an error is then the task's, and keeps its sentence."""
    return () if _network is None else (_network.build(),)


def _start_worker(parent: int, network: Network | None, visible: "SimpleQueue[str]") -> None:
    global _network
    _network = network
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its workers
    if network is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.get()
    cv2.setNumThreads(1)
    end_with_parent(parent)
