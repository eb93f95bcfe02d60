"""Whether index and plan grow no worse than linearly: a set of as many rows as ImageNet has, of photos of a few bytes.

    python -m benchmarks.rows --rows 80000 320000 1280000

writes the set of each size (1,000 classes, shards of 1,000 photos; 1.8 GB in all) below `--folder`, and removes it.
Each step runs in a process of its own. Wall and CPU seconds leave out Python's start, imports and what a step needs;
the peak of resident memory is the process's own, all told. Crops are faked: boxes and no pixels. DVC's step is `dvc add
--no-commit`, which hashes all files and copies none.
"""

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.render import SETTINGS
from bgdata.classes import ClassList
from bgdata.compose.crops import Crops
from bgdata.compose.render import SETS, _shard_tasks, plan_photos
from bgdata.compose.settings import RenderSettings
from bgdata.geometry import Box
from bgdata.ingest.photos import COLUMNS
from bgdata.shards import SPLITS, ImageSet, Row, finish_set, shard_name, write_shard

ROWS = (80_000, 320_000, 1_280_000)
CLASSES, PHOTOS_PER_SHARD, VAL_SHARE = 1000, 1000, 0.04
PHOTO = b"\xff\xd8\xff\xd9"  # where a JPEG begins and ends
RENDER = RenderSettings.model_validate(SETTINGS | {"images_per_shard": PHOTOS_PER_SHARD})

Times = dict[str, float]


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    if arguments.step:
        measured = _measured(STEPS[arguments.step], arguments.set, arguments.rows[0])
        print(json.dumps(measured))
        return
    print("| rows | step | s | CPU s | peak GiB | us a row |\n|---|---|---|---|---|---|", flush=True)
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for step in STEPS:
                _print_step(rows, step, _run(step, Path(folder) / "photos", rows))
            _print_step(rows, "dvc: hash the set", _hash(Path(folder)))


def _print_step(rows: int, step: str, spent: Times) -> None:
    peak, each = f"{spent['peak']:.2f}" if "peak" in spent else "", spent["cpu"] / rows * 1e6
    print(f"| {rows:,} | {step} | {spent['wall']:.1f} | {spent['cpu']:.1f} | {peak} | {each:.1f} |", flush=True)


def _run(step: str, folder: Path, rows: int) -> Times:
    command = [sys.executable, "-m", "benchmarks.rows", "--step", step, "--set", folder, "--rows", str(rows)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _measured(step: Callable[[Path, int], Callable[[], object]], folder: Path, rows: int) -> Times:
    """What a step takes, without what it prepares."""
    todo = step(folder, rows)
    wall, cpu = time.perf_counter(), time.process_time()
    kept = todo()
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    del kept
    return spent | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _hash(folder: Path) -> Times:
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "init", "-q", "--no-scm"], cwd=folder, check=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([dvc, "add", "-q", "--no-commit", "photos"], cwd=folder, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu}


def _classes() -> ClassList:
    wnids = tuple((f"n{1440764 + 9973 * label:08d}",) for label in range(CLASSES))
    return ClassList("imagenet", tuple(f"class_number_{label}" for label in range(CLASSES)), wnids)


def _photo_rows(split: str, count: int) -> Iterator[Row]:
    """A split's rows as ingest writes them: sorted by id, with size, box and source."""
    classes, rng = _classes(), np.random.default_rng(0)
    for label, (wnid,) in enumerate(classes.wnids):
        for number in range(label * count // CLASSES, (label + 1) * count // CLASSES):
            photo = f"{wnid}_{number:08d}"
            height, width, x0, y0 = rng.integers((300, 300, 0, 0), (600, 600, 99, 99)).tolist()
            source = f"ILSVRC/Data/CLS-LOC/{split}/{wnid}/{photo}.JPEG"
            values = (height, width, x0, y0, x0 + 150, y0 + 150, source)
            extra = {column: str(value) for column, value in zip(COLUMNS, values, strict=True)}
            yield Row(f"{photo}{split[0]}", split, label, wnid, classes.member_name(label, photo), extra=extra)


def _write(folder: Path, rows: int) -> Callable[[], object]:
    val = int(rows * VAL_SHARE)
    lists = {split: list(_photo_rows(split, count)) for split, count in (("train", rows - val), ("val", val))}

    def write() -> None:
        for split, of_split in lists.items():
            for number, start in enumerate(range(0, len(of_split), PHOTOS_PER_SHARD)):
                photos = ((row, PHOTO) for row in of_split[start : start + PHOTOS_PER_SHARD])
                write_shard(folder, shard_name(split, number), photos)

    return write


def _finish(folder: Path, _: int) -> Callable[[], object]:
    return lambda: finish_set(folder, classes=_classes(), columns=COLUMNS)


def _open(folder: Path, _: int) -> Callable[[], object]:
    return lambda: ImageSet(folder)


def _find(folder: Path, _: int) -> Callable[[], object]:
    images = ImageSet(folder)
    ids = [row.id for row in images.rows]
    return lambda: ([images.split(split) for split in SPLITS], images.by_id(ids))


def _plan(folder: Path, _: int) -> Callable[[], object]:
    images = ImageSet(folder)
    crops = _faked_crops(images.rows)
    return lambda: plan_photos(images.rows, crops, classes=images.classes, settings=RENDER, seed=0)


def _list_tasks(folder: Path, _: int) -> Callable[[], object]:
    images = ImageSet(folder)
    plan, _ = plan_photos(images.rows, _faked_crops(images.rows), classes=images.classes, settings=RENDER, seed=0)
    # Pickled one by one, as an engine sends them.
    return lambda: sum(len(pickle.dumps(task)) for task in _shard_tasks(plan, RENDER, folder.parent))


def _faked_crops(rows: Sequence[Row]) -> Crops:
    none = np.zeros((0, 224, 224), np.bool_)
    boxes = [Box(row.label % 99, 10, 120, 180) for row in rows]
    reasons = [None if number % 12 else "no_background" for number in range(len(rows))]
    return Crops(none[..., None].repeat(3, -1).view(np.uint8), none, list(boxes), reasons)


STEPS: dict[str, Callable[[Path, int], Callable[[], object]]] = {
    "write shards and parts": _write,
    "finish: merge the index": _finish,
    "open": _open,
    "split, by_id of all": _find,
    "plan all backgrounds": _plan,
    f"list and pickle render's tasks ({len(SETS)} sets)": _list_tasks,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="how many rows each set has (80,000 or more)")
    parser.add_argument("--folder", type=Path, default=None, help="where sets are written (default: the system's /tmp)")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--set", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
