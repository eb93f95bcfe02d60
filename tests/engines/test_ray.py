"""The Ray engine: what is made has the bytes of `local`, whatever dies on the way."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from bgdata import parallel
from bgdata.compose.render import render_sets
from bgdata.engines.base import Network, Work
from bgdata.engines.local import LocalEngine
from bgdata.engines.ray import RayEngine, open_engine
from bgdata.errors import InputError
from models.segmenters.run import segment_photos
from tests.bgdata.conftest import draw_photo, write_sets
from tests.bgdata.test_render import settings as render_settings
from tests.conftest import ROOT
from tests.engines.ray_machines import CHECKS
from tests.engines.ray_tasks import IMAGES, Built, engine_settings, niceness, notes, published, shards
from tests.models.test_segmenters import GRABCUT

pytestmark = [
    pytest.mark.scale,
    # Not importorskip: Ray must not be imported before the engine has told it to stay on loopback.
    pytest.mark.skipif(find_spec("ray") is None, reason="needs ray"),
    # Ray leaves sockets and log files to the end of the process.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

COUNT = 4  # shards


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEngine]:
    """A cluster of this machine's own, with two cores, for the whole module."""
    opened = open_engine(engine_settings(), tmp_path_factory.mktemp("scratch"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", autouse=True)
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, "Future[Any]"]]:
    """What drivers see on standing clusters (`ray_machines`), which are slow to start: beside the other tests."""
    with ThreadPoolExecutor(2) as pool:
        yield {check: pool.submit(look, check, tmp_path_factory.mktemp(check)) for check in CHECKS}


def look(check: str, folder: Path) -> Any:
    # Root of a user namespace may mount, and name addresses.
    own = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    if shutil.which("unshare") is None or subprocess.run([*own, "ip", "link"], capture_output=True).returncode:
        return None
    # --kill-child: nothing of a cluster stays.
    command = [*own, "--kill-child", sys.executable, "-m", "tests.engines.ray_machines", str(folder), check]
    # The module's own cluster has told Ray to stay on loopback, and has a password.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "seen.json").read_text()) | {"stderr": done.stderr}


def of(seen: dict[str, "Future[Any]"], check: str) -> dict[str, Any]:
    """What was seen, once it was."""
    answer: dict[str, Any] | None = seen[check].result()
    if answer is None:
        pytest.skip("no namespaces of one's own here")
    return answer


def make(engine: Any, work: Work, *, workers: int = 2, **changes: object) -> int:
    """Make some work with other settings; returns how many units were counted."""
    units: list[int] = []
    if isinstance(engine, RayEngine):
        engine._settings = engine_settings(**changes)
    engine.run(work, units.append, workers=workers)
    return sum(units)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The set as `local` makes it."""
    folder = tmp_path_factory.mktemp("local")
    assert make(LocalEngine(), shards(folder, COUNT), workers=1) == COUNT * IMAGES
    return published(folder)


def network(folder: Path, fault: str = "", *, device: str = "auto") -> Network:
    return Network(partial(Built, folder, fault), device, 0)


# The sets of stages


def make_sets(photos: Path, masks: Path, work: Path) -> dict[str, bytes]:
    work.mkdir()
    render_sets(photos, masks, settings=render_settings(), seed=0, work=work / "rendered", workers=2)
    segment_photos(photos, masks, work, settings=GRABCUT, seed=0, workers=2)
    files = (path for path in work.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(work)): path.read_bytes() for path in files}


def test_sets_have_the_bytes_of_local(engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [
        draw_photo(label, split, number) for label in range(9) for split in ("train", "val") for number in range(3)
    ]
    photos, masks = write_sets(tmp_path, drawn)
    expected = make_sets(photos, masks, tmp_path / "local")
    monkeypatch.setattr(parallel, "_engine", engine)
    assert make_sets(photos, masks, tmp_path / "two") == expected
    assert len(expected) > 30


# Faults


@pytest.mark.parametrize("fault", ["killed", "stopped", "hangs"])
def test_a_worker_that_is_lost_or_never_ends(
    engine: RayEngine, tmp_path: Path, undisturbed: dict[str, bytes], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its shard is made again; each is counted once, and one line tells of it."""
    limit = None if fault == "killed" else 0.05
    assert make(engine, shards(tmp_path, COUNT, fault), task_minutes=limit) == COUNT * IMAGES
    assert published(tmp_path) == undisturbed
    assert sorted(notes(tmp_path, "made")) == ["0", "1", "2", "3"]
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("task 1 of shards ") and told.endswith(": it is made again")


@pytest.mark.parametrize("fault", ["killed", "hangs"])
def test_an_actor_that_holds_a_network_is_lost(
    engine: RayEngine, tmp_path: Path, undisturbed: dict[str, bytes], fault: str
) -> None:
    limit = None if fault == "killed" else 0.05
    work = shards(tmp_path, COUNT, fault, network=network(tmp_path))
    assert make(engine, work, task_minutes=limit) == COUNT * IMAGES
    assert published(tmp_path) == undisturbed
    assert len(notes(tmp_path, "built")) == 2  # one on this machine, and one for it when it was lost


def test_a_worker_that_is_lost_each_time_ends_in_a_sentence(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task 1 of shards was tried 2 times, and lost its worker \(Work.*: killed"):
        make(engine, shards(tmp_path, 2, "killed!"), task_retries=1)
    with pytest.raises(InputError, match=r"tried 2 times, and took longer than runtime.task_minutes \(0.02\): mend"):
        make(engine, shards(tmp_path, 2, "hangs!"), task_retries=1, task_minutes=0.02)
    with pytest.raises(InputError, match=r"the start of a network of shards was tried 2 times, and lost its worker"):
        make(engine, shards(tmp_path, 1, network=network(tmp_path, "killed")), task_retries=1)


def test_errors_keep_their_sentence_and_end_the_rest(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^photo n01_1 is no photo: remove it$"):
        make(engine, shards(tmp_path, COUNT, "mistake", 0.5))
    assert notes(tmp_path, "made") in ([], ["0"])
    with pytest.raises(InputError, match=r"^photo n01_1 is no photo: remove it$"):
        make(engine, shards(tmp_path, 2, network=network(tmp_path, "mistake")))
    made = notes(tmp_path, "made")
    time.sleep(2)
    assert notes(tmp_path, "made") == made  # no writer is left


def test_a_full_disk_is_the_drivers_error_and_nothing_is_lost(
    engine: RayEngine, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        make(engine, shards(tmp_path, COUNT, "full"))
    assert make(engine, shards(tmp_path, COUNT)) == COUNT * IMAGES
    assert published(tmp_path) == undisturbed


def test_a_bug_shows_the_workers_traceback(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="bug of a worker") as caught:
        make(engine, shards(tmp_path, 2, "bug"))
    assert "ray_tasks.py" in str(caught.value.__cause__) and "_bug" in str(caught.value.__cause__)


# Before work starts


def test_without_tasks_nothing_starts(tmp_path: Path) -> None:
    nowhere = open_engine(engine_settings(ray={"address": "127.0.0.1:1", "window": 1}), tmp_path)
    assert make(nowhere, Work(int, []), ray={"address": "127.0.0.1:1", "window": 1}) == 0
    nowhere.close()
    assert not list(tmp_path.iterdir())


def test_without_ray_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bgdata.engines.ray.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"runtime.engine is ray, which is not installed: run `make scale`"):
        open_engine(engine_settings(), tmp_path)


@pytest.mark.parametrize("address", ["free", "ray://127.0.0.1:10001", "cluster"])
def test_without_a_cluster_a_sentence(address: str, tmp_path: Path) -> None:
    if address == "free":
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{one.getsockname()[1]}"
    begun = time.monotonic()
    nowhere = {"address": address, "window": 1}
    with pytest.raises(InputError, match=rf"^no Ray cluster answers at {address} \(.+\): start one, set runtime.ray"):
        make(open_engine(engine_settings(ray=nowhere), tmp_path), shards(tmp_path, 1), ray=nowhere)
    assert time.monotonic() - begun < 10


def test_a_cluster_without_gpus(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the cluster at this machine has no GPU, but runtime.device is cuda: start"):
        make(engine, shards(tmp_path, 1, network=network(tmp_path, device="cuda")))
    with pytest.raises(InputError, match=r"runtime.device is cuda:1, but each worker of a cluster sees one GPU alone"):
        make(engine, shards(tmp_path, 1, network=network(tmp_path, device="cuda:1")))
    assert make(engine, shards(tmp_path, 3, network=network(tmp_path, device="cpu"))) == 3 * IMAGES
    (built,) = notes(tmp_path, "built")
    assert built.split(maxsplit=1)[1].split() == ["2"]  # no GPU to be seen, and both cores as threads


def test_its_own_cluster_is_on_loopback_alone(engine: RayEngine, tmp_path: Path) -> None:
    make(engine, shards(tmp_path, 1))
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = []
    for one in mine:
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            listening += [each.laddr.ip for each in one.net_connections("inet") if each.status == "LISTEN"]
    assert listening and {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_its_workers_have_their_share_beside_other_work(engine: RayEngine) -> None:
    assert make(engine, Work(niceness, [()])) == os.nice(0)


# The driver dies


@pytest.mark.parametrize(("by", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_killed_drivers_workers_end(
    engine: RayEngine, tmp_path: Path, undisturbed: dict[str, bytes], by: signal.Signals, code: int
) -> None:
    family = kill_driver(tmp_path, "-", by, code)
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert len(gone) == 2 and not alive
    assert make(engine, shards(tmp_path, COUNT)) == COUNT * IMAGES
    assert published(tmp_path) == undisturbed


def kill_driver(folder: Path, address: str, by: signal.Signals, code: int) -> list[psutil.Process]:
    """Kill a driver while its workers write; returns those workers."""
    command = [sys.executable, "-m", "tests.engines.ray_driver", str(folder), address, str(COUNT), "0.5"]
    driver = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(folder.glob("set/*.tmp"))) == 2)
    family = working(psutil.Process(driver.pid).children(recursive=True))
    driver.send_signal(by)
    told = driver.communicate(timeout=30)[1]
    assert driver.returncode == code and "Traceback" not in told
    return family


def working(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that make a task; others may end while they are asked."""
    found = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            found += [each] if each.name() == "ray::make" else []
    return found


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    latest = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < latest, "waited in vain"
        time.sleep(0.1)


# Standing clusters


def test_no_cluster_is_a_sentence_within_seconds(seen: dict[str, "Future[Any]"]) -> None:
    told = of(seen, "none_there")
    assert told["auto"].startswith(
        "InputError: no Ray cluster answers at auto (Could not find any running Ray instance."
    )
    assert told["10.0.0.1:6379"].startswith(
        "InputError: no Ray cluster answers at 10.0.0.1:6379 ([Errno 111] Connection"
    )
    assert told["seconds"] < 20


def test_a_node_is_killed_while_it_works(seen: dict[str, "Future[Any]"]) -> None:
    """Its shards, and what its network had to do, are made again on the other; and no cluster waits for nobody."""
    told = of(seen, "lost_node")
    assert told["units"] == told["network units"] == COUNT * IMAGES
    assert sorted(told["made"]) == ["0", "1", "2", "3"] and told["same"]
    assert len(told["built"]) == 2
    assert told["none left"].startswith("InputError: the cluster has no CPU left: start machines and run again")
    assert [line for line in told["stderr"].splitlines() if not line.endswith("is made again")] == []


def test_bad_machines_are_told_of_before_work_starts(seen: dict[str, "Future[Any]"]) -> None:
    told = of(seen, "bad_machines")
    host = socket.gethostname()
    starts = {
        "no gpu": "the cluster at 10.0.0.1:6379 has no GPU, but runtime.device is cuda: start Ray on machines",
        "other code": f"the worker on {host} has other code in {ROOT} (",
        "no scratch": f"the worker on {host} does not see /",
        "no checkout": f"the worker on {host} does not see {ROOT}: check the project out on storage that all machines",
        "version": "the cluster at 10.0.0.1:6379 has another version of Ray or Python (Version mismatch: The",
    }
    for name, start in starts.items():
        assert told[name].startswith(f"InputError: {start}") and "\n" not in told[name]
    assert told["made"] == []


def test_a_full_disk_on_one_machine(seen: dict[str, "Future[Any]"]) -> None:
    told = of(seen, "bad_machines")
    assert told["full"] == "OSError: [Errno 28] No space left on device"
    assert told["units"] == 8 * IMAGES


def test_a_network_on_each_gpu(seen: dict[str, "Future[Any]"]) -> None:
    told = of(seen, "gpus")
    assert told["units"] == told["units after a kill"] == 6 * IMAGES and told["same"]
    assert sorted(line.split()[1:] for line in told["built"]) == [["0", "2"], ["1", "2"]]  # a GPU, and half the cores
    assert set(told["seen"]) == set(told["built"])
    assert len(told["built after a kill"]) in (2, 3)  # the other one may have made the rest by itself


def test_drivers_of_a_standing_cluster_leave_no_worker(seen: dict[str, "Future[Any]"]) -> None:
    told = of(seen, "drivers")
    for name in ("killed", "stopped"):
        assert told[name]["units"] == COUNT * IMAGES and told[name]["seconds"] < 30
    assert told["same"]
