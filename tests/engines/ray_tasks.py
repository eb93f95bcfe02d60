"""Tasks that workers make in the tests of an engine: at the module's top, where they can be pickled."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bgdata.errors import InputError


def write(folder: Path, name: str, units: int = 1, seconds: float = 0.0) -> Iterator[int]:
    """Write a file, whole; note which process did."""
    with (folder / "made.log").open("a") as log:
        log.write(f"{name} {os.getpid()}\n")
    for _ in range(units):
        time.sleep(seconds)
        yield 1
    path = folder / f"{name}.{os.getpid()}.tmp"
    path.write_text(name * 1000)
    path.rename(folder / name)


def _first(folder: Path, name: str) -> bool:
    """Whether this is the first try of a task."""
    try:
        (folder / f"{name}.tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def hang_once(folder: Path, name: str) -> int:
    if _first(folder, name):
        time.sleep(3600)
    return sum(write(folder, name))


def die_once(folder: Path, name: str) -> int:
    if _first(folder, name):
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(write(folder, name))


def die(*_: object) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def hang(*_: object) -> int:
    time.sleep(3600)
    return 0


def mistake(name: str) -> int:
    raise InputError(f"photo {name} is no photo: remove it")


def bug(name: str) -> int:
    raise KeyError(name)


def full_disk() -> int:
    with Path("/dev/full").open("w") as file:
        file.write("x")
    return 1


class Network:
    """What stands for a network: it notes where it was built."""

    def __init__(self, folder: Path) -> None:
        self.name = f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}"
        with (folder / "built.log").open("a") as log:
            log.write(self.name + "\n")


def build(folder: Path) -> Network:
    return Network(folder)


def build_mistake() -> Network:
    raise InputError("weights are missing: run `dvc repro weights`")


def build_mistake_disk() -> Network:
    raise OSError(errno.ENOSPC, "No space left on device")


def see(network: Network, folder: Path, name: str, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    (folder / "seen.log").open("a").write(f"{name} {network.name}\n")
    return sum(write(folder, name))


def see_die_once(network: Network, folder: Path, name: str) -> int:
    if _first(folder, name):
        os.kill(os.getpid(), signal.SIGKILL)
    return see(network, folder, name)


def see_hang_once(network: Network, folder: Path, name: str) -> int:
    if _first(folder, name):
        time.sleep(3600)
    return see(network, folder, name)
