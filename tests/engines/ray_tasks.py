"""Tasks that workers make in the tests of an engine: at a module's top, where they can be pickled."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bgdata.engines.base import Network, Work
from bgdata.engines.settings import EngineSettings
from bgdata.errors import InputError
from bgdata.labels import IN9
from bgdata.shards import Row, ShardWriter, finish_set, shard_name

IMAGES = 6


def engine_settings(**changes: object) -> EngineSettings:
    slurm = {"jobs": 1, "partition": None, "minutes": 1, "cpus": 1, "gpus": 1, "options": {}}
    values = {"engine": "ray", "task_minutes": None, "task_retries": 3, "ray": {"address": None, "window": 2}}
    return EngineSettings.model_validate(values | {"slurm": slurm} | changes)


def shard(folder: Path, number: int, fault: str = "", seconds: float = 0.0, size: int = 2000) -> Iterator[int]:
    """Write a shard of six images; in their middle the second shard meets a fault: in its first try, or in each where
    it is named `fault!`.
    """
    with ShardWriter(folder / "set", shard_name("train", number)) as writer:
        for image in range(IMAGES):
            if image == IMAGES // 2 and fault and number == 1 and _meets(folder, fault):
                FAULTS[fault.rstrip("!")]()
            time.sleep(seconds)
            label = image % 9
            row = Row(f"n{number}_{image}", "train", label, f"n{label}", IN9.member_name(label, f"n{number}_{image}"))
            writer.add(row, bytes([number]) * size)
            yield 1
    _note(folder, "made", str(number))


def seen_shard(network: "Built", folder: Path, number: int, fault: str = "", seconds: float = 0.0) -> Iterator[int]:
    _note(folder, "seen", network.name)
    yield from shard(folder, number, fault, seconds)


def niceness() -> int:
    """Answers, in place of units, how far this process stands back."""
    return os.nice(0)


class Built:
    """What stands for a network: it notes in which process and with which GPU it was built."""

    def __init__(self, folder: Path, fault: str = "") -> None:
        if fault:
            FAULTS[fault]()
        self.name = f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')} {os.environ.get('OMP_NUM_THREADS')}"
        _note(folder, "built", self.name)


def shards(folder: Path, count: int, *further: object, network: Network | None = None) -> Work:
    """Work of so many shards."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(folder, number, *further) for number in range(count)]
    return Work(shard if network is None else seen_shard, tasks, network, "shards")


def published(folder: Path) -> dict[str, bytes]:
    """All files of the set that was made, as a stage publishes it."""
    from pipeline._workspace import _publish  # here: workers need none of it

    finish_set(folder / "set", classes=IN9)
    out = folder / "published"
    _publish(folder / "set", out)
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def notes(folder: Path, about: str) -> list[str]:
    path = folder / f"{about}.log"
    return path.read_text().splitlines() if path.exists() else []


def _note(folder: Path, about: str, what: str) -> None:
    with (folder / f"{about}.log").open("a") as log:
        log.write(what + "\n")


def _meets(folder: Path, fault: str) -> bool:
    if fault.endswith("!"):
        return True
    try:
        (folder / "tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _full_disk() -> None:
    with Path("/dev/full").open("w") as file:
        file.write("x")


def _mistake() -> None:
    raise InputError("photo n01_1 is no photo: remove it")


def _bug() -> None:
    raise KeyError("bug of a worker")


FAULTS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "hangs": lambda: time.sleep(3600),
    "full": _full_disk,
    "mistake": _mistake,
    "bug": _bug,
}
