"""Slurm's engine by submitit: on its local executor, and on commands that stand for Slurm's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgdata.engines.local import LocalEngine
from bgdata.engines.settings import EngineSettings
from bgdata.errors import InputError
from bgdata.parallel import spread_by
from tests.conftest import ROOT
from tests.engines import fake_slurm
from tests.engines.faults import IMAGES, finished, segment_and_render, work_of

submitit = pytest.importorskip("submitit")
from bgdata.engines.slurm import SlurmEngine, open_engine  # noqa: E402

pytestmark = [
    pytest.mark.scale,
    # submitit's own processes outlive its objects.
    pytest.mark.filterwarnings(
        r"ignore:Exception ignored in. <function Popen.__del__:pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]
COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")


def settings(**changes: Any) -> EngineSettings:
    slurm = {"jobs": 2, "partition": None, "minutes": 5, "cpus": 1, "gpus": 1, "options": {}} | changes.pop("slurm", {})
    whole = {"engine": "slurm", "task_minutes": None, "task_retries": 2, "ray": {"address": None, "window": 2}}
    return EngineSettings.model_validate(whole | {"slurm": slurm} | changes)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a Slurm of ours: its commands are on the PATH, its jobs' files in the folder."""
    for folder in ("bin", "slurm", "scratch"):
        (tmp_path / folder).mkdir(exist_ok=True)
    for name in COMMANDS:
        path = tmp_path / "bin" / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {fake_slurm.__file__} {name} "$@"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path / "slurm"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "slurm"


@pytest.fixture(params=["local", "fake", "real"])
def engine_of(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Makes the engine: by submitit's own processes, by our commands, or by a Slurm that is there."""
    (tmp_path / "scratch").mkdir(exist_ok=True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if request.param == "real":
        if shutil.which("sbatch") is None:
            pytest.skip("no Slurm here")
    elif request.param == "fake":
        request.getfixturevalue("slurm")

    def make(**changes: Any) -> SlurmEngine:
        if request.param != "local":
            engine = open_engine(settings(**changes), tmp_path / "scratch")
            engine._poll = 0.1
            return engine

        def executor(folder: Path, _: Any) -> Any:
            return submitit.LocalExecutor(folder)

        return SlurmEngine(settings(**changes), tmp_path / "scratch", executor, poll=0.1)

    monkeypatch.setattr(submitit.slurm.slurm.SlurmJob.watcher, "_delay_s", 1)
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 1)  # storage that shows files late
    return make


def expected(tmp_path: Path) -> dict[str, bytes]:
    LocalEngine().run(work_of(tmp_path / "local/set", {}), lambda _: None, workers=1)
    return finished(tmp_path / "local/set")


def run(engine: SlurmEngine, folder: Path, faults: dict[int, str], **how: Any) -> int:
    units: list[int] = []
    work = work_of(folder, faults, **how)
    try:
        engine.run(work, units.append, workers=1)
    finally:
        engine.close()
    return sum(units)


@pytest.mark.parametrize("fault", ["", "once-kill", "once-straggle"])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_all_is_made_once_with_the_same_bytes(
    engine_of: Callable[..., Any], tmp_path: Path, fault: str, device: str | None
) -> None:
    folder = tmp_path / "made/set"
    limit = 0.03 if "straggle" in fault else None
    assert run(engine_of(task_minutes=limit), folder, {2: fault}, device=device) == 6 * IMAGES
    assert finished(folder) == expected(tmp_path)
    assert not (tmp_path / "scratch/slurm").exists()
    if device:
        built = (tmp_path / "made/built").read_text().split()
        assert len(built) == len(set(built)) == 2 + bool(fault), "once a job"


def test_photos_are_segmented_and_rendered_with_the_same_bytes(
    engine_of: Callable[..., Any], photo_sets: tuple[Path, Path], tmp_path: Path
) -> None:
    made = {}
    for name, engine in {"local": LocalEngine(), "slurm": engine_of()}.items():
        with spread_by(engine):
            made[name] = segment_and_render(*photo_sets, tmp_path / f"sets-{name}")
    assert made["slurm"] == made["local"]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("mistake", InputError, r"^photo 7 is no photo: take it out$"),
        ("full", OSError, r"No space left on device: '/full/disk'"),
        ("bug", RuntimeError, r"ZeroDivisionError: a bug of ours"),
        ("kill", InputError, r"a task of numbers was lost 3 times, the last time because its job .* ended, see .*err"),
    ],
)
def test_an_error_keeps_its_words_and_what_was_finished_stays(
    engine_of: Callable[..., Any], tmp_path: Path, fault: str, error: type[Exception], words: str
) -> None:
    folder = tmp_path / "made/set"
    with pytest.raises(error, match=words):
        run(engine_of(), folder, {5: fault})
    assert run(engine_of(), folder, {}) < 6 * IMAGES
    assert finished(folder) == expected(tmp_path)


def test_a_straggler_is_given_up_in_the_end(engine_of: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"was lost 1 times, .* because it took more than runtime.task_minutes \(0.02\)"
    ):
        run(engine_of(task_minutes=0.02, task_retries=0), tmp_path / "made/set", {0: "straggle"})


def test_a_network_that_cannot_be_built_is_its_own_sentence(engine_of: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the weights are missing: fetch them$"):
        run(engine_of(), tmp_path / "made/set", {-1: "mistake"}, device="cpu")


def test_a_preempted_job_goes_on_after_what_it_finished(slurm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made/set"
    process = start_driver(tmp_path, {4: "once-inner"})
    marker = wait_for(folder.parent / "met-4.pid")
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    os.kill(int(marker.read_text()), signal.SIGUSR2)  # Slurm's warning before it preempts
    assert process.wait(60) == 0, (tmp_path / "driver.err").read_text()
    assert finished(folder) == expected(tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    assert before.items() <= after.items()
    assert len(list(slurm.glob("*.sh"))) == 1, "requeued, not submitted again"


@pytest.mark.usefixtures("slurm")
def test_a_killed_drivers_jobs_end_with_the_next_run(tmp_path: Path) -> None:
    process = start_driver(tmp_path, {4: "once-inner"})
    writer = int(wait_for(tmp_path / "made/met-4.pid").read_text())
    process.kill()
    process.wait()
    assert start_driver(tmp_path, {}).wait(60) == 0
    assert not Path(f"/proc/{writer}").exists() or "Z" in Path(f"/proc/{writer}/stat").read_text().split()[2]
    assert finished(tmp_path / "made/set") == expected(tmp_path)


@pytest.mark.usefixtures("slurm")
def test_ctrl_c_cancels_the_jobs(tmp_path: Path) -> None:
    process = start_driver(tmp_path, {0: "inner"})
    writer = int(wait_for(tmp_path / "made/met-0.pid").read_text())
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert not Path(f"/proc/{writer}").exists() or "Z" in Path(f"/proc/{writer}/stat").read_text().split()[2]


def start_driver(tmp_path: Path, faults: dict[int, str]) -> subprocess.Popen[bytes]:
    """A process that runs the engine, to be killed."""
    code = (
        "import sys; from pathlib import Path; from tests.engines.test_slurm import *\n"
        f"engine = open_engine(settings(slurm={{'jobs': 1}}), Path({str(tmp_path / 'scratch')!r}))\n"
        f"engine._poll = 0.1; run(engine, Path({str(tmp_path / 'made/set')!r}), {faults!r})"
    )
    with (tmp_path / "driver.err").open("a") as errors:
        return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=errors)


def wait_for(path: Path) -> Path:
    for _ in range(600):
        if path.is_file() and path.read_text():
            return path
        time.sleep(0.1)
    raise AssertionError(f"{path} does not come")


def test_what_a_job_asks_for_reaches_sbatch(slurm: Path, tmp_path: Path) -> None:
    asked = {"partition": "long", "minutes": 7, "cpus": 3, "gpus": 2, "options": {"account": "mine", "qos": 5}}
    for device in ("cuda", None):
        run(
            open_engine(settings(slurm=asked), tmp_path / "scratch"),
            tmp_path / f"set-{device}/set",
            {},
            device=device,
            tasks=2,
        )
    with_gpu, without = ((slurm / f"{number}.sh").read_text() for number in (1, 2))
    for line in ("partition=long", "time=7", "cpus-per-task=3", "account=mine", "qos=5", "job-name=numbers"):
        assert f"#SBATCH --{line}\n" in with_gpu
        assert f"#SBATCH --{line}\n" in without
    assert "#SBATCH --gpus-per-node=2\n" in with_gpu
    assert "gpus" not in without


@pytest.mark.usefixtures("slurm")
def test_what_sbatch_refuses_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^sbatch refused the jobs \(.*invalid partition specified: none.*runtime.slurm"
    ):
        run(open_engine(settings(slurm={"partition": "none"}), tmp_path / "scratch"), tmp_path / "made/set", {})


@pytest.mark.usefixtures("slurm")
def test_a_worker_with_other_code_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    for package in ("bgdata", "models", "pipeline", "tests"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "bgdata/errors.py").write_text((ROOT / "bgdata/errors.py").read_text() + "# one more line\n")
    monkeypatch.setattr("bgdata.engines.slurm.checkout", lambda: other)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"the worker on .* has other code in .*other \(\w{8}\) than the driver"):
        run(open_engine(settings(), tmp_path / "scratch"), tmp_path / "made/set", {})


def test_no_sbatch_and_no_submitit_are_one_sentence_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match=r"no sbatch is on the PATH: run on a login node of the cluster, or set"):
        open_engine(settings(), tmp_path)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"submitit is not installed: run `make scale` first"):
        open_engine(settings(), tmp_path)
