"""The simulation of many machines keeps the laws of queues; its tables are made of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import scale, simulation
from benchmarks.simulation import Driver, Stage, World

CALM = World(task_start=0, worker_start=0, failures=0, stragglers=0, driver=Driver(sending=0, manifest=0))
ROUGH = World(task_start=0.5, failures=2.0, stragglers=0.05)
GRABCUT = Stage("segment", 1.2, 3600)


def run(
    world: World, workers: list[int], *, photos: int = 20_030, size: int = 100, seed: int = 0
) -> list[simulation.Outcome]:
    return simulation.simulate(GRABCUT, photos, workers=workers, size=size, world=world, seed=seed)


def test_one_worker_without_mishaps_takes_the_sum() -> None:
    (only,) = run(CALM, [1])
    assert only.together == pytest.approx(20_030 * 1.2)
    assert only.busy == pytest.approx(20_030 * 1.2)
    alone = simulation.alone_seconds(GRABCUT, 20_030, CALM.driver, size=100)
    assert only.wall == pytest.approx(20_030 * 1.2 + sum(alone.values()))


@pytest.mark.parametrize("world", [CALM, ROUGH, replace(ROUGH, limit=None)])
@pytest.mark.parametrize("size", [7, 100, 9000])
def test_more_workers_are_never_slower(world: World, size: int) -> None:
    walls = [one.wall for one in run(world, [1, 2, 4, 8, 16, 512], size=size)]
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(walls))
    assert walls[-1] < walls[0]


def test_without_failures_and_stragglers_nothing_is_wasted() -> None:
    assert run(CALM, [8])[0].wasted == 0
    assert run(replace(CALM, task_start=5, worker_start=60), [8])[0].wasted == 0
    assert run(replace(CALM, failures=1), [8])[0].wasted > 0
    assert run(replace(CALM, stragglers=0.1), [8])[0].wasted > 0


def test_what_is_busy_and_not_wasted_is_the_work() -> None:
    (one,) = run(ROUGH, [8])
    shards = 201
    starts = shards * (ROUGH.task_start + shards * ROUGH.driver.manifest)
    assert one.busy - one.wasted == pytest.approx(20_030 * 1.2 + starts)


def test_failures_cost_what_a_memoryless_worker_loses() -> None:
    """A task of t seconds with failures at rate r takes (exp(rt) - 1) / r in the mean."""
    world = replace(CALM, failures=6.0, limit=None)
    busy, _ = simulation.task_seconds(np.full(200_000, 600.0), world, np.random.default_rng(0))
    rate = 6 / 3600
    assert busy.mean() == pytest.approx((np.exp(rate * 600) - 1) / rate, rel=0.02)


def test_a_limit_gives_stragglers_up() -> None:
    world = replace(CALM, stragglers=0.5, factor=100, limit=2.0)
    busy, wasted = simulation.task_seconds(np.full(1000, 10.0), world, np.random.default_rng(0))
    assert busy.max() < 1000  # what one straggler alone would take
    assert np.allclose(wasted % 20, 0)  # attempts given up after twice of ten seconds
    with pytest.raises(ValueError, match="the limit is 1 times what a shard takes, expected more than 1"):
        simulation.task_seconds(np.ones(1), replace(world, limit=1), np.random.default_rng(0))


def test_a_driver_that_sends_slowly_is_the_limit() -> None:
    tasks, ready = np.full(50, 1.0), np.arange(1, 51) * 10.0
    assert simulation.queue_seconds(tasks, 512, ready=ready, start=0) == 501


def test_a_long_queue_is_as_if_played_through_task_by_task(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = np.random.default_rng(0).exponential(1, 50_000)
    ready = np.zeros_like(tasks)
    short = simulation.queue_seconds(tasks, 64, ready=ready, start=3)
    monkeypatch.setattr(simulation, "_LAST_TASKS", 10**9)
    assert short == pytest.approx(simulation.queue_seconds(tasks, 64, ready=ready, start=3), rel=0.002)


def test_the_same_seed_gives_the_same_table() -> None:
    stages = scale.ROUTES["GrabCut and Telea, CPU cores"]
    one, same, other = ("\n".join(scale.clock_table(stages, size=2000, world=World(), seed=seed)) for seed in (0, 0, 1))
    assert one == same != other
    assert one.count("\n") == 1 + len(scale.PHOTOS) * len(scale.WORKERS)


def test_the_tables_are_printed_and_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(scale, "PHOTOS", (2000, 20_000))
    monkeypatch.setattr(scale, "SIZES", (10, 200))
    monkeypatch.setattr(
        "sys.argv", ["scale", "--size", "200", "--stragglers", "0", "--failures", "0", "--cpu-price", "36"]
    )
    scale.main()
    printed = capsys.readouterr().out
    # All stages of 2,000 photos, and a core hour for 36 dollars: a cent a second.
    stages = scale.ROUTES["GrabCut and Telea, CPU cores"]
    work = 2000 * sum(stage.seconds * stage.share for stage in stages)
    (first, *_) = [line for line in printed.splitlines() if line.startswith("| 2,000 | 1 |")]
    cells = first.split(" | ")
    assert cells[2].endswith(" min")
    assert float(cells[2].split()[0]) == pytest.approx((work + 5 * 10) / 60, rel=0.01)
    assert cells[4] == "0.0%"
    assert float(cells[5]) == pytest.approx(work / 100, abs=2)
    walls = scale.best_sizes(stages, world=replace(World(), failures=0, stragglers=0), seed=0)
    cases = [of for (_, many, _), of in walls.items() if many == 20_000]
    most = {size: max(of[size] / min(of.values()) for of in cases) - 1 for size in (10, 200)}
    best = min(most, key=most.__getitem__)
    assert f"Of 20,000 photos, shards of {best} take at most {most[best]:.0%} longer than the best size" in printed
