"""A queue of shards and the workers that make them, with what fails, what is late, and what the driver does alone."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

# Of a queue that is longer only the end is played through task by task; before it all workers are busy.
_LAST_TASKS, _LAST_TASKS_PER_WORKER = 2000, 8
# Of luck; many tasks have their mean without.
_ROUNDS, _MANY_TASKS = 5, 50_000


@dataclass(frozen=True)
class Stage:
    """A stage: seconds a photo of one worker, what share of the photos it has, and what it costs the driver.

    `bytes`: what it writes a photo, in all its sets (`writes`); `opens`: the sets whose rows it reads.
    """

    name: str
    seconds: float
    bytes: int
    opens: int = 1
    writes: int = 1
    plans: bool = False
    share: float = 1.0
    on_gpu: bool = False


@dataclass(frozen=True)
class Driver:
    """What one process does alone: seconds a row, bytes of memory a row (opened, and planned), bytes a second that DVC
    hashes.

    `manifest`: seconds a shard of a set's manifest, which each task reads again; `file`: seconds a file for DVC.
    """

    opening: float = 10e-6
    planning: float = 36e-6
    merging: float = 8.4e-6
    sending: float = 22e-6
    manifest: float = 0.66e-6
    hashed: float = 600e6
    file: float = 1e-3
    row_bytes: float = 1700.0


@dataclass(frozen=True)
class World:
    """The machines: seconds until a task and a worker start, failures a worker hour, stragglers, dollars an hour."""

    task_start: float = 0.01
    worker_start: float = 10.0
    failures: float = 0.01
    stragglers: float = 0.005
    factor: float = 10.0
    limit: float | None = 3.0
    cpu_price: float = 0.04
    gpu_price: float = 3.0
    driver: Driver = Driver()

    def price(self, stage: Stage) -> float:
        """Dollars an hour of one worker of a stage."""
        return self.gpu_price if stage.on_gpu else self.cpu_price


@dataclass(frozen=True)
class Outcome:
    """What became of a stage, in seconds: the driver alone, then all workers; of all workers summed: busy, and wasted
    on what was made again or waited for.
    """

    alone: float
    together: float
    busy: float
    wasted: float

    @property
    def wall(self) -> float:
        """From start to end."""
        return self.alone + self.together


def alone_seconds(stage: Stage, photos: int, driver: Driver, *, size: int) -> dict[str, float]:
    """What the driver does alone, by what it is."""
    rows = photos * stage.share
    return {
        "index": rows * (stage.opens * driver.opening + stage.writes * driver.merging),
        "plan": rows * driver.planning * stage.plans,
        "DVC": rows * (stage.bytes / driver.hashed + stage.writes * driver.file / size),
    }


def shard_sizes(photos: int, size: int) -> ndarray:
    """The photos of each shard: all have `size`, the last what is left."""
    full, rest = divmod(photos, size)
    return np.array([size] * full + [rest] * (rest > 0), dtype=np.float64)


def task_seconds(nominal: ndarray, world: World, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
    """How long each task keeps a worker until it is made, failures and all, and how much of that was wasted."""
    if world.limit is not None and world.limit <= 1:
        raise ValueError(f"the limit is {world.limit} times what a shard takes, expected more than 1")
    busy, wasted, left = np.zeros_like(nominal), np.zeros_like(nominal), np.arange(len(nominal))
    while len(left):
        usual = nominal[left]
        takes = np.where(rng.random(len(left)) < world.stragglers, usual * world.factor, usual)
        ends = np.full(len(left), np.inf) if world.limit is None else usual * world.limit
        if world.failures:
            ends = np.minimum(ends, rng.exponential(3600 / world.failures, len(left)))
        lost = ends < takes
        spent = np.where(lost, ends + world.worker_start, takes)
        busy[left] += spent
        wasted[left] += np.where(lost, spent, takes - usual)
        left = left[lost]
    return busy, wasted


def queue_seconds(tasks: ndarray, workers: int, *, ready: ndarray, start: float) -> float:
    """Until the last of the tasks is made, each by the first worker that is free, once it is `ready`."""
    workers = min(workers, len(tasks))
    last = max(_LAST_TASKS, _LAST_TASKS_PER_WORKER * workers)
    begun = len(tasks) - last
    free = [start] * workers
    if begun > 0:
        free = [max(start + tasks[:begun].sum() / workers, ready[begun - 1])] * workers
        tasks, ready = tasks[begun:], ready[begun:]
    for seconds, sent in zip(tasks.tolist(), ready.tolist(), strict=True):
        heapq.heapreplace(free, max(free[0], sent) + seconds)
    return max(free)


def simulate(stage: Stage, photos: int, *, workers: Sequence[int], size: int, world: World, seed: int) -> list[Outcome]:
    """What becomes of a stage for each number of workers, the mean of some rounds; all meet the same failures."""
    shards = shard_sizes(round(photos * stage.share), size)
    starting = world.task_start + max(stage.opens, 1) * world.driver.manifest * len(shards)
    ready = np.cumsum(shards) * world.driver.sending
    rng = np.random.default_rng([seed, photos, size, *stage.name.encode()])
    count = _ROUNDS if len(shards) < _MANY_TASKS else 1
    rounds = [task_seconds(starting + shards * stage.seconds, world, rng) for _ in range(count)]
    busy, wasted = (float(np.mean([each[what].sum() for each in rounds])) for what in (0, 1))
    alone = sum(alone_seconds(stage, photos, world.driver, size=size).values())
    walls = [
        [queue_seconds(tasks, each, ready=ready, start=world.worker_start) for tasks, _ in rounds] for each in workers
    ]
    return [Outcome(alone, float(np.mean(together)), busy, wasted) for together in walls]
