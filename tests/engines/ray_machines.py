"""Machines of a standing Ray cluster, in a network and mounts of their own; what drivers on it see goes into a file.

    unshare --user --map-root-user --net --mount --pid --fork --mount-proc --kill-child \
        python -m tests.engines.ray_machines <folder> <name of a check>

A machine is `ray start --block` in a process group of its own: it is killed as a whole.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bgdata.engines.base import Network, Work
from bgdata.engines.ray import open_engine
from bgdata.errors import InputError
from tests.conftest import ROOT
from tests.engines.ray_tasks import Built, engine_settings, notes, published, shards

ADDRESS = "10.0.0.1:6379"
COUNT = 4


class Machines:
    """A cluster: a head that lends nothing, and the machines that are added."""

    def __init__(self) -> None:
        _shell("ip link set lo up && ip addr add 10.0.0.1/24 dev lo && ip route add default dev lo src 10.0.0.1")
        # Ray remembers there which cluster it has started; it goes with the mount.
        Path("/tmp/ray").mkdir(exist_ok=True)
        _shell("mount -t tmpfs tmpfs /tmp/ray")
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        # A machine that does not answer is given up after 3 s, not 15.
        os.environ |= {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "6"}

    def start_head(self) -> None:
        self._start("--head --port 6379 --num-cpus 0 --include-dashboard=false")
        from bgdata.engines._ray_cluster import _reached

        _until(lambda: _succeeds(partial(_reached, ADDRESS)))

    def add(self, resources: str, *, mounts: str = "true") -> subprocess.Popen[bytes]:
        """Start a machine; `mounts` makes its files look otherwise."""
        return self._start(f"--address {ADDRESS} {resources}", mounts=mounts)

    def _start(self, options: str, *, mounts: str = "true") -> subprocess.Popen[bytes]:
        ray = f"{sys.executable} -m ray.scripts.scripts start {options} --object-store-memory 80000000 --block"
        command = ["unshare", "--mount", "sh", "-c", f"{mounts} && exec {ray}"]
        with Path("/tmp/ray/told.log").open("a") as told:
            return subprocess.Popen(command, start_new_session=True, stdout=told, stderr=told)

    def remove(self, machine: subprocess.Popen[bytes]) -> None:
        """Kill a machine as a whole: all processes that it has started, whatever their group."""
        import psutil

        family = [psutil.Process(machine.pid), *psutil.Process(machine.pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):  # it ended by itself
                process.kill()
        machine.wait()

    def have(self, count: int, resource: str = "CPU") -> None:
        """Wait until the cluster knows of so many cores or GPUs."""
        import ray

        if not ray.is_initialized():
            ray.init(address=ADDRESS, logging_level="ERROR", log_to_driver=False)
        _until(lambda: sum(_lent(node, resource) for node in ray.nodes()) == count)
        ray.shutdown()


def _lent(node: dict[str, Any], resource: str) -> float:
    return node["Resources"].get(resource, 0) if node["Alive"] else 0


def drive(folder: Path, work: Work, **changes: object) -> int | str:
    """Make some work on the cluster; returns how many units were counted, or the sentence."""
    engine = open_engine(engine_settings(ray={"address": ADDRESS, "window": 2} | changes), folder)
    units: list[int] = []
    try:
        engine.run(work, units.append, workers=2)
    except (InputError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        engine.close()
    return sum(units)


def _shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True)


def _succeeds(call: Callable[[], object]) -> bool:
    try:
        call()
    except OSError:
        return False
    return True


def _until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    latest = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < latest, "waited in vain"
        time.sleep(0.1)


# Checks: each starts a cluster and says what it saw.


def none_there(folder: Path) -> dict[str, Any]:
    """No cluster: by `auto`, and at an address that nobody answers."""
    Machines()
    begun = time.monotonic()
    found = {address: drive(folder, shards(folder, 1), address=address) for address in ("auto", ADDRESS)}
    return found | {"seconds": time.monotonic() - begun}


def lost_node(folder: Path) -> dict[str, Any]:
    """Two machines of which one is killed while it works; then the other, with a network on its cores."""
    machines = Machines()
    machines.start_head()
    first = machines.add("--num-cpus 1")
    machines.have(1)  # one after the other: two that start at once may take one port
    second = machines.add("--num-cpus 1")
    machines.have(2)
    work = shards(folder, COUNT, "", 0.3)
    _kill_when(machines, second, folder)
    seen: dict[str, Any] = {"units": drive(folder, work), "made": notes(folder, "made")}
    third = machines.add("--num-cpus 1")
    machines.have(2)
    network = Network(partial(Built, folder), "auto", 0)
    again = folder / "network"
    _kill_when(machines, third, again)
    seen["network units"] = drive(folder, shards(again, COUNT, "", 0.8, network=network))
    seen["built"] = notes(folder, "built")
    machines.have(1)
    _kill_when(machines, first, folder / "none", writers=1)
    seen["none left"] = drive(folder, shards(folder / "none", COUNT, "", 1.0))
    return seen | {"same": published(folder) == published(again)}


def _kill_when(machines: Machines, machine: subprocess.Popen[bytes], folder: Path, *, writers: int = 2) -> None:
    """Kill a machine in the middle of its shard."""

    def kill() -> None:
        _until(lambda: len(list(folder.glob("set/*.tmp"))) == writers)
        machines.remove(machine)

    threading.Thread(target=kill, daemon=True).start()


def bad_machines(folder: Path) -> dict[str, Any]:
    """A good machine and one that is not: tasks that any of them makes would be noted."""
    machines = Machines()
    machines.start_head()
    machines.add("--num-cpus 1")
    machines.have(1)
    cuda = Network(partial(Built, folder), "cuda", 0)
    seen: dict[str, Any] = {"no gpu": drive(folder, shards(folder, 1, network=cuda))}
    other = folder / "other.py"
    other.write_text((ROOT / "bgdata/geometry.py").read_text() + "\n")
    (folder / "hidden").mkdir()
    views = {
        "other code": f"mount --bind {other} {ROOT / 'bgdata/geometry.py'}",
        "no scratch": f"mount -t tmpfs tmpfs {folder}",
        "no checkout": f"mount -t tmpfs tmpfs {ROOT / 'bgdata'}",
    }
    for name, mounts in views.items():
        machine = machines.add("--num-cpus 1", mounts=mounts)
        machines.have(2)
        seen[name] = drive(folder, shards(folder, 4))
        machines.remove(machine)
        machines.have(1)
    seen["made"] = notes(folder, "made")
    small = machines.add("--num-cpus 1", mounts=f"mount -t tmpfs -o size=64k tmpfs {folder / 'hidden'}")
    machines.have(2)
    seen["full"] = drive(folder, shards(folder / "hidden", 8, "", 0.1, 50_000))
    machines.remove(small)
    machines.have(1)
    seen["units"] = drive(folder, shards(folder / "hidden", 8, "", 0.0, 50_000))
    import ray

    ray.__version__ = "1.0"
    return seen | {"version": drive(folder, shards(folder, 1))}


def gpus(folder: Path) -> dict[str, Any]:
    """A machine with two GPUs, as Ray believes: an actor for each; one of them is killed."""
    machines = Machines()
    machines.start_head()
    machines.add("--num-cpus 4 --num-gpus 2")
    machines.have(2, "GPU")
    network = Network(partial(Built, folder), "auto", 0)
    seen: dict[str, Any] = {"units": drive(folder, shards(folder, 6, "", 0.1, network=network))}
    seen["built"], seen["seen"] = notes(folder, "built"), notes(folder, "seen")
    killed = folder / "killed"
    lost = Network(partial(Built, killed), "cuda", 0)
    seen["units after a kill"] = drive(folder, shards(killed, 6, "killed", 0.1, network=lost))
    seen["built after a kill"] = notes(killed, "built")
    return seen | {"same": published(folder) == published(killed)}


def drivers(folder: Path) -> dict[str, Any]:
    """Drivers of a standing cluster are killed, and stopped by Ctrl-C: their workers end, a next driver goes on."""
    import psutil

    from tests.engines.test_ray import kill_driver, working

    machines = Machines()
    machines.start_head()
    machines.add("--num-cpus 2")
    machines.have(2)
    seen: dict[str, Any] = {}
    for name, by, code in (("killed", signal.SIGKILL, -9), ("stopped", signal.SIGINT, 130)):
        at = folder / name
        at.mkdir()
        kill_driver(at, ADDRESS, by, code)
        begun = time.monotonic()
        _until(lambda: not working(psutil.process_iter()))
        seen[name] = {"seconds": time.monotonic() - begun, "units": drive(at, shards(at, COUNT))}
    return seen | {"same": published(folder / "killed") == published(folder / "stopped")}


CHECKS = {check.__name__: check for check in (none_there, lost_node, bad_machines, gpus, drivers)}

if __name__ == "__main__":
    import json

    place = Path(sys.argv[1])
    try:
        (place / "seen.json").write_text(json.dumps(CHECKS[sys.argv[2]](place)))
    except AssertionError:
        sys.stderr.write(Path("/tmp/ray/told.log").read_text())  # of `ray start`
        raise
