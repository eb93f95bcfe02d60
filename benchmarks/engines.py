"""What an engine costs, and what two workers of it make: `local` and `ray` in turns, on photos that are drawn here.

    OMP_NUM_THREADS=1 python -m benchmarks.engines

Needs `make scale`. Start: from nothing to the end of two empty tasks; for Ray that is a cluster of this machine's own,
which a stage starts once, for `local` the processes, which each call starts anew. Task: what each of further empty
tasks adds. Render and GrabCut: photos a second by two workers, in shards of the usual size, the engine being there.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from benchmarks.render import SETTINGS
from bgdata import parallel
from bgdata.compose.render import render_sets
from bgdata.compose.settings import RenderSettings
from bgdata.engines.base import Engine, Work
from bgdata.engines.local import LocalEngine
from bgdata.engines.ray import open_engine
from bgdata.engines.settings import EngineSettings
from bgdata.geometry import mask_box
from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.masks.settings import CleanSettings, QualitySettings
from bgdata.shards import Row, finish_set, shard_name, write_shard
from models.segmenters.run import segment_photos
from models.segmenters.settings import GrabCutSettings, SegmentJob

WORKERS = 2
EMPTY = 200  # tasks
SIZE = (375, 500)
GRABCUT = SegmentJob(
    method="grabcut",
    grabcut=GrabCutSettings(iterations=5),
    clean=CleanSettings(min_piece=0.02, max_hole=0.02, largest_only=False),
    quality=QualitySettings(min_box_share=0.1, max_photo_share=0.95),
)
RAY = EngineSettings.model_validate(
    {
        "engine": "ray",
        "task_minutes": None,
        "task_retries": 3,
        "ray": {"address": None, "window": 2},
        "slurm": {"jobs": 1, "partition": None, "minutes": 1, "cpus": 1, "gpus": 1, "options": {}},
    }
)


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        engines: dict[str, Engine] = {"local": LocalEngine(), "ray": open_engine(RAY, folder)}
        _print_overheads(engines)
        rates: dict[str, dict[str, list[float]]] = {"render": {}, "grabcut": {}}
        many = _draw_sets(folder / "many", arguments.shards, arguments.photos)
        few = _draw_sets(folder / "few", arguments.shards, arguments.grabcut_photos)
        for number in range(arguments.rounds):
            for name, engine in engines.items():
                work = folder / f"{name}{number}"
                parallel._engine = engine
                rendered = _rate(arguments.shards * arguments.photos, partial(_render, many, arguments.photos, work))
                cut = _rate(arguments.shards * arguments.grabcut_photos, partial(_segment, few, work))
                rates["render"].setdefault(name, []).append(rendered)
                rates["grabcut"].setdefault(name, []).append(cut)
        engines["ray"].close()
    sizes = f"{arguments.photos} photos (GrabCut: {arguments.grabcut_photos})"
    print(f"\n{arguments.shards} shards of {sizes}, {WORKERS} workers, {arguments.rounds} rounds\n")
    print("| photos/s, median | local | ray | ray is |\n|---|---|---|---|")
    for what, by_engine in rates.items():
        local, ray = (statistics.median(by_engine[name]) for name in ("local", "ray"))
        each = [ours / theirs for ours, theirs in zip(by_engine["ray"], by_engine["local"], strict=True)]
        print(f"| {what} | {local:.1f} | {ray:.1f} | {ray / local:.2f} of it ({min(each):.2f} to {max(each):.2f}) |")


def _print_overheads(engines: dict[str, Engine]) -> None:
    print("| engine | start, s | a task, ms |\n|---|---|---|")
    for name, engine in engines.items():
        start = _seconds(engine, WORKERS)
        again = _seconds(engine, WORKERS)
        print(f"| {name} | {start:.1f} | {1000 * (_seconds(engine, WORKERS + EMPTY) - again) / EMPTY:.1f} |")


def _seconds(engine: Engine, tasks: int) -> float:
    begun = time.perf_counter()
    engine.run(Work(_nothing, [()] * tasks, None, "empty"), lambda _: None, workers=WORKERS)
    return time.perf_counter() - begun


def _nothing() -> int:
    return 0


def _rate(photos: int, make: Callable[[], object]) -> float:
    begun = time.perf_counter()
    make()
    return photos / (time.perf_counter() - begun)


def _render(sets: tuple[Path, Path], shard: int, work: Path) -> None:
    settings = RenderSettings.model_validate(SETTINGS | {"images_per_shard": shard})
    render_sets(*sets, settings=settings, seed=0, work=work / "rendered", workers=WORKERS)


def _segment(sets: tuple[Path, Path], work: Path) -> None:
    segment_photos(*sets, work / "segmented", settings=GRABCUT, seed=0, workers=WORKERS)


def _draw_sets(folder: Path, shards: int, photos: int) -> tuple[Path, Path]:
    """A set of drawn photos and one of their masks."""
    sets = folder / "photos", folder / "masks"
    for number in range(shards):
        drawn = [_draw(number, place) for place in range(photos)]
        for at, position in zip(sets, (0, 1), strict=True):
            write_shard(at, shard_name("train", number), [each[position] for each in drawn])
    finish_set(sets[0], classes=IN9, columns=("height", "width", "x0", "y0", "x1", "y1"))
    finish_set(sets[1], classes=IN9)
    return sets


def _draw(shard: int, place: int) -> tuple[tuple[Row, bytes], tuple[Row, bytes]]:
    """Noise on smooth patches, and an ellipse of another colour."""
    rng = np.random.default_rng([shard, place])
    height, width = SIZE
    image = cv2.resize(rng.integers(0, 200, (6, 8, 3), dtype=np.uint8), (width, height))
    image += rng.integers(0, 50, image.shape, dtype=np.uint8)
    mask = np.zeros(SIZE, np.uint8)
    centre = (width // 2 + int(rng.integers(-40, 41)), height // 2 + int(rng.integers(-40, 41)))
    cv2.ellipse(mask, centre, (int(rng.integers(50, 100)), int(rng.integers(50, 100))), 0, 0, 360, 1, -1)
    image[mask > 0] = image[mask > 0] // 4 + rng.integers(0, 190, 3, dtype=np.uint8)
    label, name = place % 9, f"n{place % 9:08d}_{shard}_{place}"
    box = mask_box(mask > 0)
    cells = {"height": height, "width": width, "x0": box.x0, "y0": box.y0, "x1": box.x1, "y1": box.y1}
    row = Row(name, "train", label, f"n{label:08d}", IN9.member_name(label, name))
    photo = replace(row, extra={key: str(value) for key, value in cells.items()})
    return (photo, encode_jpeg(image, 90)), (replace(row, name=row.name_beside(name, "png")), encode_mask(mask > 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure engines.")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--photos", type=int, default=250, help="in a shard, to render")
    parser.add_argument("--grabcut-photos", type=int, default=50, help="in a shard, to segment")
    parser.add_argument("--rounds", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
