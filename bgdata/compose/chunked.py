"""Images made chunk by chunk in several processes into one array on the disk; a killed run goes on."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from bgdata.arrays import ArrayWriter, create_array
from bgdata.engines.base import Network
from bgdata.parallel import run_tasks
from bgdata.shards import write_text_whole

_CHUNK = 64
_Item = TypeVar("_Item")
# Makes the images of some items: writes them into an array that is theirs, and answers a word of JSON of each.
Make = Callable[[Sequence[_Item], UInt8[np.ndarray, "n c c 3"]], list[Any]]


def make_images(
    make: Make[_Item] | Callable[..., list[Any]],
    items: Sequence[_Item],
    *,
    path: Path,
    side: int,
    workers: int,
    network: Network | None = None,
) -> list[Any]:
    """Make the image of each item into the array at `path` (uint8, `n side side 3`); returns the answers, in order.

    `make` is called in `workers` processes, a chunk at a time; with a `network` by the workers that hold it, as
    `make(network, items, array)`. What a killed run has finished is not made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        for part in path.parent.glob(f"{path.stem}-*.json"):  # of an array that is gone
            part.unlink()
        create_array(path, np.uint8, (len(items), side, side, 3))
    starts = range(0, len(items), _CHUNK)
    tasks = [(make, items[start : start + _CHUNK], path, start) for start in starts if not _part(path, start).exists()]
    total = sum(len(task[1]) for task in tasks)
    make_chunk = _make_chunk if network is None else _make_chunk_by
    run_tasks(make_chunk, tasks, workers=workers, total=total, label=path.stem, unit="photo", network=network)
    return [answer for start in starts for answer in json.loads(_part(path, start).read_text())]


def _make_chunk(make: Make[Any], items: Sequence[Any], path: Path, start: int) -> int:
    with ArrayWriter(path) as array:
        images = np.zeros((len(items), *array.shape), np.uint8)
        answers = make(items, images)
        for position, image in enumerate(images, start):
            array[position] = image
    write_text_whole(_part(path, start), json.dumps(answers))
    return len(items)


def _make_chunk_by(network: Any, make: Callable[..., list[Any]], items: Sequence[Any], path: Path, start: int) -> int:
    return _make_chunk(partial(make, network), items, path, start)


def _part(path: Path, start: int) -> Path:
    return path.with_name(f"{path.stem}-{start:08d}.json")
