"""The transfer as the page shows it: a task's networks as points and rows, which shift is worst, and pictures."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgdata.corrupt.corruptions import CORRUPTIONS
from models.evaluation.corruption_shapes import what_was_run
from models.transfer.result_shapes import TransferScores
from pipeline.report.charts import COLOURS, recipe_colours, round_step
from pipeline.report.numbers import Results
from pipeline.report.table import rounded
from pipeline.report.transfer import NUMBERS, AnyEstimate, estimate, spread
from pipeline.report.transfer_claims import Claim, transfer_claims
from pipeline.report.transfer_pictures import read_examples

Interval = tuple[float, float]


@dataclass(frozen=True)
class Number:
    """A number of a table: mean over the seeds, interval over images, standard deviation over the seeds."""

    value: float | None
    interval: Interval | None
    std: float | None


@dataclass(frozen=True)
class Network:
    """One network of a task: numbers by metric and name (NUMBERS), and what its main metric is by shift."""

    key: str
    backbone: str
    mode: str
    colour: int
    numbers: Mapping[str, Mapping[str, Number]]
    by_shift: Mapping[str, float | None]
    worst: str | None


@dataclass(frozen=True)
class Point:
    """One network of a scatter, `x` and `y` in percent of the drawing; `across` and `up` are the whiskers' ends."""

    network: Network
    x: float
    y: float
    across: Interval | None
    up: Interval | None


@dataclass(frozen=True)
class Panel:
    """Clean images (across) against shifted ones (up) on equal axes; ticks are (percent of the drawing, value)."""

    number: str
    points: tuple[Point, ...]
    ticks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TaskView:
    """A task: some result, its networks, its charts; `worst` is the shift that most networks do worst under."""

    name: str
    some: TransferScores
    run: str | None
    networks: tuple[Network, ...]
    panels: tuple[Panel, ...]
    shifts: tuple[str, ...]
    worst: tuple[str, int] | None
    pictures: Mapping[str, str]

    @property
    def colours(self) -> dict[str, int]:
        """Of each backbone."""
        return {network.backbone: network.colour for network in self.networks}

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of NUMBERS that any network has."""
        rows = [network.numbers[self.some.metric] for network in self.networks]
        return tuple(name for name in NUMBERS if any(row[name].value is not None for row in rows))


@dataclass(frozen=True)
class TransferView:
    """The section: claims, tasks, and the files of the pictures that are left out."""

    claims: tuple[Claim, ...]
    tasks: tuple[TaskView, ...]
    without: tuple[Path, ...]


def read_transfer_view(scores: Path, results: Results) -> TransferView | None:
    """What the page shows; None where no transfer was judged.

    Raises InputError where a network's example pictures are missing or none.
    """
    if not results.transfer:
        return None
    colours = backbone_colours(results)
    by_task: dict[str, list[TransferScores]] = {}
    for found in results.transfer.values():
        by_task.setdefault(found.task, []).append(found)
    shown, without = read_examples(scores, by_task.values())
    tasks = (_task(judged, colours, shown) for judged in by_task.values())
    return TransferView(transfer_claims(results), tuple(tasks), without)


def backbone_colours(results: Results) -> dict[str, int]:
    """Each backbone's colour: its recipe's, where it is the first of one; the others take the next that are free."""
    of_recipes = recipe_colours(results)
    colours: dict[str, int] = {}
    free = [number for number in range(1, COLOURS) if number not in of_recipes.values()] or list(range(1, COLOURS))
    others = 0
    for found in results.transfer.values():
        if found.backbone in colours:
            continue
        own = of_recipes.get(found.record.get("recipe", ""))
        if own is None or own in colours.values():
            own, others = free[others % len(free)], others + 1
        colours[found.backbone] = own
    return colours


def _task(judged: Sequence[TransferScores], colours: Mapping[str, int], shown: Mapping[str, str]) -> TaskView:
    some = judged[0]
    networks = tuple(_network(found, colours[found.backbone]) for found in judged)
    summary = some.summary[some.metric]
    worst = [network.worst for network in networks if network.worst is not None]
    most = max(dict.fromkeys(worst), key=worst.count, default=None)
    panels = (_panel(networks, some.metric, number) for number in ("mpc", "swapped"))
    return TaskView(
        name=some.task,
        some=some,
        run=what_was_run(summary.corruptions, summary.cells) if some.corruptions else None,
        networks=networks,
        panels=tuple(panel for panel in panels if panel is not None),
        shifts=tuple(_shifts(some)),
        worst=None if most is None else (most, worst.count(most)),
        pictures={found.key: shown[found.key] for found in judged if found.key in shown},
    )


def _network(found: TransferScores, colour: int) -> Network:
    numbers = {metric: {name: _number(found, metric, name) for name in NUMBERS} for metric in found.metrics}
    by_shift = _shifts(found)
    known = {name: value for name, value in by_shift.items() if value is not None}
    worst = min(known, key=lambda name: known[name], default=None)
    return Network(found.key, found.backbone, found.mode, colour, numbers, by_shift, worst)


def _number(found: TransferScores, metric: str, name: str) -> Number:
    known: AnyEstimate | None = estimate(found, metric, name)
    if known is None or known.value is None:
        return Number(None, None, None)
    return Number(known.value, known.interval, spread(found, metric, name))


def _shifts(found: TransferScores) -> dict[str, float | None]:
    """The main metric by shift: corruptions with severity in their published order, then swapped backgrounds."""
    names = [(name, severity) for name in CORRUPTIONS for severity in sorted(found.corruptions.get(name, {}))]
    rows = {f"{name} {severity}": found.corruptions[name][severity][found.metric].value for name, severity in names}
    return rows if found.swapped is None else rows | {"swapped backgrounds": found.swapped[found.metric].value}


def _panel(networks: Iterable[Network], metric: str, number: str) -> Panel | None:
    """None where no network has both numbers."""
    rows = [(network, network.numbers[metric]["clean"], network.numbers[metric][number]) for network in networks]
    rows = [row for row in rows if row[1].value is not None and row[2].value is not None]
    if not rows:
        return None
    known = [value for _, *pair in rows for one in pair for value in (one.value, *(one.interval or ()))]
    values = [value for value in known if value is not None]
    step = round_step(max(max(values) - min(values), 0.01) / 4)
    first, last = math.floor(min(values) / step + 1e-9), math.ceil(max(values) / step - 1e-9)
    ticks = [count * step for count in range(first, max(last, first + 1) + 1)]

    def place(value: float) -> float:
        return rounded(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)

    def down(value: float) -> float:
        return rounded(100 - place(value), 2)

    points = tuple(
        Point(
            network,
            place(clean.value or 0.0),
            down(shifted.value or 0.0),
            None if clean.interval is None else (place(clean.interval[0]), place(clean.interval[1])),
            None if shifted.interval is None else (down(shifted.interval[0]), down(shifted.interval[1])),
        )
        for network, clean, shifted in rows
    )
    return Panel(number, points, tuple((place(tick), tick) for tick in ticks))
