"""What many machines would take for many photos: a simulation from measured seconds a photo. No hardware needed.

    python -m benchmarks.scale
    python -m benchmarks.scale --task-start 5 --failures 0.1 --gpu-price 2

A stage's shards wait in one queue; a worker (a core, or a GPU where the stage is a network's) takes the next as soon as
it is free and the driver has sent it. A worker fails at a constant rate: the shard is lost, the worker starts anew, and
the shard is made again. A straggler takes `--factor` times as long; one that would pass `--limit` times what its shard
takes is given up then, and made again. Before and after each stage the driver works alone: it opens the index, plans,
merges the parts, and DVC hashes what was written. Stages follow each other, as `dvc repro` runs them.

Seconds a photo are measured (benchmarks/README.md) but for the GPU's: GroundingDINO, SAM and LaMa on an H100 as ForAug
(Nauen et al. 2025) published, 5,338.6 photos an hour. What the driver does alone is from `python -m benchmarks.rows`, a
photo, as it grows linearly. Sizes of files are those of 177 ImageNet photos. Not in it: the storage that all machines
share, and its limit.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.simulation import Driver, Stage, World, alone_seconds, simulate

PHOTOS, WORKERS = (45_000, 1_280_000, 100_000_000), (1, 8, 64, 512)
SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10_000)

RENDER, TELEA, GRABCUT = 1 / 209, 1 / 65.3, 1.22
CORRUPT = 75 * (0.02831 / 15 + 0.00035)  # 15 corruptions at 5 severities, each encoded
_MIXED = 4 / 9 * RENDER  # a source's four sets
_INGEST = Stage("ingest", 0.0069, 115_300, opens=0, writes=2)
_RENDER = Stage("render", RENDER, 128_000, opens=2, writes=9, plans=True)
_CORRUPT = Stage("corrupt", CORRUPT, 75 * 18_600, writes=75, share=0.04)
ROUTES = {
    "GrabCut and Telea, CPU cores": (
        _INGEST,
        Stage("segment", GRABCUT, 3600),
        _RENDER,
        Stage("fill", TELEA + _MIXED, 74_000, opens=3, writes=4, plans=True),
        _CORRUPT,
    ),
    "GroundingDINO, SAM and LaMa on H100s (as ForAug published), the rest on as many CPU cores": (
        _INGEST,
        Stage("segment and fill", 3600 / 5338.6, 3600, on_gpu=True),
        _RENDER,
        Stage("mix the filled", _MIXED, 74_000, opens=3, writes=4, plans=True),
        _CORRUPT,
    ),
}


def main() -> None:
    """Print the tables."""
    arguments = vars(_parser().parse_args())
    seed, size = arguments.pop("seed"), arguments.pop("size")
    world = World(driver=Driver(hashed=arguments.pop("hashed") * 1e6), **arguments)
    for name, stages in ROUTES.items():
        print(f"{name}; shards of {size}\n")
        print("\n".join(clock_table(stages, size=size, world=world, seed=seed)), end="\n\n")
    for name, stages in ROUTES.items():
        print(f"{name}: microseconds a photo, and numbers of workers\n")
        print("\n".join(alone_table(stages, size=size, world=world)), end="\n\n")
    stages = next(iter(ROUTES.values()))
    print("Best shard size (least wall clock; in brackets all that take at most 5 % more), by a task's start\n")
    best = best_sizes(stages, world=world, seed=seed)
    print("\n".join(size_table(best)), end="\n\n")
    print("Wasted work of GrabCut, 1.28 million photos, by failures of a worker an hour and shard size\n")
    print("\n".join(waste_table(stages[1], world=world, seed=seed)), end="\n\n")
    print(" ".join(what_it_says(stages, best, size=size, world=world, seed=seed)))


def clock_table(stages: Sequence[Stage], *, size: int, world: World, seed: int) -> Iterator[str]:
    """Wall clock, its share in which the driver is alone, waste and dollars, by photos and workers."""
    yield "| photos | workers | wall clock | driver alone | wasted work | dollars: workers go when idle | they stay |"
    yield "|---|---|---|---|---|---|---|"
    for photos in PHOTOS:
        runs = [simulate(stage, photos, workers=WORKERS, size=size, world=world, seed=seed) for stage in stages]
        for workers, outcomes in zip(WORKERS, zip(*runs, strict=True), strict=True):
            wall, alone = (sum(getattr(one, what) for one in outcomes) for what in ("wall", "alone"))
            wasted = sum(one.wasted for one in outcomes) / sum(one.busy for one in outcomes)
            prices = [world.price(stage) / 3600 for stage in stages]
            going = sum(price * (one.busy + one.alone) for price, one in zip(prices, outcomes, strict=True))
            staying = sum(price * one.wall * workers for price, one in zip(prices, outcomes, strict=True))
            yield (
                f"| {photos:,} | {workers} | {duration(wall)} | {alone / wall:.1%} | {wasted:.1%} | {going:,.0f} | "
                f"{staying:,.0f} |"
            )


def alone_table(stages: Sequence[Stage], *, size: int, world: World) -> Iterator[str]:
    """What a photo costs the workers and the driver, from how many workers on the driver takes longer, and how many it
    can keep busy with tasks.
    """
    yield "| stage | a worker | index | plan | DVC's hashes | driver and workers even at | sends enough for |"
    yield "|---|---|---|---|---|---|---|"
    for stage in stages:
        alone = alone_seconds(stage, 1, world.driver, size=size)
        spent = stage.seconds * stage.share
        cells = " | ".join(f"{seconds * 1e6:.0f}" for seconds in alone.values())
        even, busy = _even(stage, size=size, world=world), stage.seconds / world.driver.sending
        yield f"| {stage.name} | {spent * 1e6:,.0f} | {cells} | {even:,.0f} | {busy:,.0f} |"


def _even(stage: Stage, *, size: int, world: World) -> float:
    """So many workers take as long as the driver alone."""
    return stage.seconds * stage.share / sum(alone_seconds(stage, 1, world.driver, size=size).values())


Walls = dict[tuple[float, int, int], dict[int, float]]


def best_sizes(stages: Sequence[Stage], *, world: World, seed: int) -> Walls:
    """The wall clock by shard size, by (start of a task, photos, workers)."""
    walls: Walls = {}
    for task_start in (0.01, 5.0):
        there = replace(world, task_start=task_start)
        for photos in PHOTOS:
            for size in SIZES:
                runs = [simulate(stage, photos, workers=WORKERS, size=size, world=there, seed=seed) for stage in stages]
                for workers, outcomes in zip(WORKERS, zip(*runs, strict=True), strict=True):
                    wall = sum(one.wall for one in outcomes)
                    walls.setdefault((task_start, photos, workers), {})[size] = wall
    return walls


def size_table(walls: Walls) -> Iterator[str]:
    """The best size of each case, and those that come near it."""
    starts = sorted({start for start, *_ in walls})
    yield "| photos | workers | " + " | ".join(f"{start:g} s" for start in starts) + " |"
    yield "|---|---|" + "---|" * len(starts)
    for photos in PHOTOS:
        for workers in WORKERS:
            cells = " | ".join(_best(walls[start, photos, workers]) for start in starts)
            yield f"| {photos:,} | {workers} | {cells} |"


def _best(walls: dict[int, float]) -> str:
    near = [size for size, wall in walls.items() if wall <= 1.05 * min(walls.values())]
    return f"{min(walls, key=lambda size: walls[size])} ({near[0]} to {near[-1]}), {duration(min(walls.values()))}"


def waste_table(stage: Stage, *, world: World, seed: int) -> Iterator[str]:
    """The share of all work that was for nothing."""
    sizes = SIZES[::2]
    yield "| failures | " + " | ".join(map(str, sizes)) + " |"
    yield "|---|" + "---|" * len(sizes)
    for failures in (0.0, 0.01, 0.1, 1.0):
        there = replace(world, failures=failures)
        runs = [simulate(stage, PHOTOS[1], workers=[64], size=size, world=there, seed=seed)[0] for size in sizes]
        yield f"| {failures:g} | " + " | ".join(f"{one.wasted / one.busy:.1%}" for one in runs) + " |"


def what_it_says(stages: Sequence[Stage], walls: Walls, *, size: int, world: World, seed: int) -> Iterator[str]:
    """The limits in words, computed."""
    photos, workers = PHOTOS[1], WORKERS[-1]
    runs = [simulate(stage, photos, workers=[workers], size=size, world=world, seed=seed)[0] for stage in stages]
    alone, wall = sum(one.alone for one in runs), sum(one.wall for one in runs)
    parts = [alone_seconds(stage, photos, world.driver, size=size) for stage in stages]
    shares = {what: sum(part[what] for part in parts) / alone for what in parts[0]}
    listed = ", ".join(f"{what} {share:.0%}" for what, share in shares.items())
    yield (
        f"{photos:,} photos on {workers} cores in shards of {size} take {duration(wall)}, of which the driver is alone "
        f"for {alone / wall:.0%} ({listed})."
    )
    even = {stage.name: _even(stage, size=size, world=world) for stage in stages}
    first, last = min(even, key=even.__getitem__), max(even, key=even.__getitem__)
    yield (
        f"It takes as long as all workers together first in {first}, from {even[first]:.0f} of them on, and last in "
        f"{last} ({even[last]:,.0f})."
    )
    quick = min(stages, key=lambda stage: stage.seconds)
    busy = quick.seconds / world.driver.sending
    yield f"It sends tasks of {quick.name} as fast as they end to at most {busy:.0f} workers."
    for many in PHOTOS:
        cases = [of for (_, there, _), of in walls.items() if there == many]
        regrets = {each: max(of[each] / min(of.values()) for of in cases) - 1 for each in SIZES}
        best = min(regrets, key=regrets.__getitem__)
        yield (
            f"Of {many:,} photos, shards of {best} take at most {regrets[best]:.0%} longer than the best size of each "
            f"case (those of {size}: {regrets[size]:.0%})."
        )
    for many in PHOTOS[1:]:
        opened, gib, shards = many * world.driver.opening, many * world.driver.row_bytes / 2**30, many // size
        yield (
            f"An index of {many:,} rows takes {duration(opened)} to open, and {gib:.1f} GiB until all is planned; its "
            f"manifest of {shards:,} shards costs each task {shards * world.driver.manifest:.3f} s."
        )
    rows = 4 * 2**30 / world.driver.row_bytes
    yield f"4 GiB hold {rows / 1e6:.1f} million rows: more are better made as several sets."


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    world = World()
    numbers = {
        "task-start": (world.task_start, "seconds until a task starts: of Ray some ms, of a Slurm job some s"),
        "worker-start": (world.worker_start, "seconds until a worker starts, also after a failure"),
        "failures": (world.failures, "failures of a worker an hour"),
        "stragglers": (world.stragglers, "share of tasks that take longer"),
        "factor": (world.factor, "how much longer"),
        "limit": (world.limit, "a task is given up after so many times of what its shard takes"),
        "cpu-price": (world.cpu_price, "dollars an hour of a core"),
        "gpu-price": (world.gpu_price, "dollars an hour of a GPU"),
        "hashed": (world.driver.hashed / 1e6, "MB a second that DVC hashes"),
    }
    for name, (default, meaning) in numbers.items():
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{meaning} ({default:g})")
    parser.add_argument("--size", type=int, default=1000, help="photos of a shard (1000)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
