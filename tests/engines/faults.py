"""Tasks that meet a fault, once: what an engine must get over."""

import errno
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bgdata.compose.render import render_sets
from bgdata.engines.base import Network, Work
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import Row, ShardWriter, finish_set, shard_is_written, shard_name
from models.segmenters.run import segment_photos
from tests.bgdata.test_render import settings as render_settings
from tests.models.test_segmenters import GRABCUT

IMAGES = 4


def write_numbers(folder: Path, number: int, fault: str = "") -> Iterator[int]:
    """Write a shard of made-up images; at its middle the fault happens, `once-...` at the first try alone."""
    shard = shard_name("train", number)
    with ShardWriter(folder, shard) as writer:
        for place in range(IMAGES):
            if place == IMAGES // 2:
                meet(fault, folder.parent / f"met-{number}")
            data = np.random.default_rng([number, place]).bytes(100)
            name = f"n{number}_{place}"
            writer.add(Row(name, "train", 0, "n0", IN9.member_name(0, name)), data)
            yield 1


def write_by_network(network: str, folder: Path, number: int, fault: str = "") -> Iterator[int]:
    assert network == "built"
    yield from write_numbers(folder, number, fault)


def meet(fault: str, marker: Path) -> None:
    kind = fault.removeprefix("once-")
    if not kind or (kind != fault and marker.exists()):
        return
    marker.touch()
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "straggle":
        time.sleep(600)
    elif kind == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/disk")
    elif kind == "mistake":
        raise InputError("photo 7 is no photo: take it out")
    elif kind == "bug":
        raise ZeroDivisionError("a bug of ours")
    elif kind == "slow":
        time.sleep(1.0)
    elif kind == "inner":
        Path(str(marker) + ".pid").write_text(str(os.getpid()))
        time.sleep(600)


def build(folder: Path, fault: str = "") -> str:
    """A network that takes note of each time it is built."""
    if fault == "mistake":
        raise InputError("the weights are missing: fetch them")
    with (folder.parent / "built").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return "built"


def work_of(folder: Path, faults: dict[int, str], *, tasks: int = 6, device: str | None = None) -> Work:
    """Some shards of a set into `folder`, what is written already left out; by a network where there is a device."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [number for number in range(tasks) if not shard_is_written(folder, shard_name("train", number))]
    made = [(folder, number, faults.get(number, "")) for number in left]
    if device is None:
        return Work(write_numbers, made, label="numbers")
    return Work(write_by_network, made, Network(partial(build, folder, faults.get(-1, "")), device, 0), "numbers")


def finished(folder: Path) -> dict[str, bytes]:
    """The bytes of the finished set: what a stage publishes, which leaves out unfinished files (`.tmp`)."""
    finish_set(folder, classes=IN9)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".tmp"}


def segment_and_render(photos: Path, given: Path, work: Path) -> dict[str, str]:
    """The hashes of the masks that GrabCut finds, and of all sets rendered with the true ones."""
    work.mkdir()
    segment_photos(photos, given, work, settings=GRABCUT, seed=0, workers=1)
    render_sets(photos, given, settings=render_settings(), seed=0, work=work, workers=1)
    return hashes(work)


def hashes(work: Path) -> dict[str, str]:
    """The hashes of all sets' files, by path."""
    return {
        str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(work.rglob("*"))
        if path.suffix in (".tar", ".csv") or path.name == "manifest.json"
    }
