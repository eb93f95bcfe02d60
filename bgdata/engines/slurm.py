"""Slurm: tasks as arrays of jobs, by submitit.

Tasks are dealt out to jobs. A job notes each task that it starts and finishes in a folder that the driver reads: so the
progress bar moves, a job that was preempted goes on after what it finished, and of a job that died only the rest is
submitted again.
"""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from bgdata.engines.base import Work
from bgdata.engines.settings import EngineSettings
from bgdata.engines.worker import Place, attempt, checkout, hold, set_place
from bgdata.errors import InputError
from bgdata.shards import write_text_whole

_POLL = 1.0  # seconds
_TIMEOUTS = 100  # how often a job may be requeued that reached its time limit; each time it has finished more
_STARTED, _FINISHED = ".started", ".json"


def open_engine(settings: EngineSettings, scratch: Path) -> "SlurmEngine":
    """The engine that submits with `sbatch`; `scratch` is a folder that the cluster sees.

    Raises InputError where submitit is not installed, or there is no sbatch.
    """
    try:
        import submitit
    except ImportError:
        raise InputError("runtime.engine is slurm, but submitit is not installed: run `make scale` first") from None
    for program in ("sbatch", "srun", "scancel"):
        if shutil.which(program) is None:
            raise InputError(
                f"runtime.engine is slurm, but no {program} is on the PATH: run on a login node of the cluster, or set "
                "runtime.engine to local or ray"
            )

    def executor(folder: Path, work: Work) -> Any:
        made = submitit.SlurmExecutor(folder, max_num_timeout=_TIMEOUTS)
        made.update_parameters(**_parameters(settings, work))
        return made

    return SlurmEngine(settings, scratch, executor)


def _parameters(settings: EngineSettings, work: Work) -> dict[str, Any]:
    slurm, network = settings.slurm, work.network
    wanted = {
        "job_name": work.label or "tasks",
        "partition": slurm.partition,
        "time": slurm.minutes,
        "cpus_per_task": slurm.cpus,
        "gpus_per_node": slurm.gpus if network is not None and network.device != "cpu" else None,
        "array_parallelism": slurm.jobs,
        "setup": [f"export PYTHONPATH={checkout()}:$PYTHONPATH"],
        "additional_parameters": slurm.options or None,
    }
    return {name: value for name, value in wanted.items() if value}


class Share:
    """The tasks of one job, by number; submitit pickles it, and requeues it where it is preempted."""

    def __init__(self, place: Place, work: Work, numbers: Sequence[int], notes: Path) -> None:
        self._place, self._numbers, self._notes = place, numbers, notes
        # Its own tasks alone: those of all jobs would be written once a job.
        self._work = Work(work.function, [work.tasks[number] for number in numbers], work.network, work.label)

    def __call__(self) -> Exception | None:
        """Make what is not noted as finished; returns the mistake that ended it."""
        first = hold(self._place, self._work)
        if isinstance(first, Exception):
            return first
        for index, number in enumerate(self._numbers):
            if (finished := self._notes / f"{number}{_FINISHED}").is_file():
                continue
            (self._notes / f"{number}{_STARTED}").touch()
            units = attempt(self._place, self._work, index, first)
            if isinstance(units, Exception):
                return units
            write_text_whole(finished, json.dumps(units))
        return None

    def checkpoint(self) -> Any:
        """What goes on where this was preempted: the same, since its notes stay."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmEngine:
    """Makes all tasks by jobs; `executor` is submitit's, for a folder and some work."""

    def __init__(
        self, settings: EngineSettings, scratch: Path, executor: Callable[[Path, Work], Any], *, poll: float = _POLL
    ) -> None:
        self._settings, self._executor, self._poll = settings, executor, poll
        self._folder = scratch.absolute() / "slurm"
        self._place: Place | None = None

    def run(self, work: Work, done: Callable[[int], None], *, workers: int) -> None:
        """Make every task; `workers` is of one machine, here `runtime.slurm.jobs` counts."""
        del workers
        if not work.tasks:
            return
        if self._place is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._end_earlier_jobs()
            self._place = set_place(self._folder)
        folder = self._folder / uuid4().hex[:8]
        executor = self._executor(folder, work)
        _Array(self._settings, executor, self._place, work, folder / "notes", self._note_jobs).finish(done, self._poll)

    def close(self) -> None:
        """Remove what jobs were given and wrote, logs too: they ended well."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _jobs_file(self) -> Path:
        return self._folder / "jobs.json"

    def _note_jobs(self, ids: Sequence[str]) -> None:
        noted = json.loads(self._jobs_file.read_text()) if self._jobs_file.is_file() else []
        write_text_whole(self._jobs_file, json.dumps([*noted, *ids]))

    def _end_earlier_jobs(self) -> None:
        """Cancel what a killed driver left queued or running: it would take the cluster's time."""
        if self._jobs_file.is_file() and (ids := json.loads(self._jobs_file.read_text())):
            subprocess.run(["scancel", *sorted({each.partition("_")[0] for each in ids})], check=False)
            self._jobs_file.unlink()


class _Array:
    """The jobs of some work, until all its tasks are made."""

    def __init__(
        self,
        settings: EngineSettings,
        executor: Any,
        place: Place,
        work: Work,
        notes: Path,
        note_jobs: Callable[[Sequence[str]], None],
    ) -> None:
        self._settings, self._executor, self._place, self._work = settings, executor, place, work
        self._notes, self._note_jobs = notes, note_jobs
        self._left = set(range(len(work.tasks)))
        self._lost: Counter[int] = Counter()
        self._jobs: dict[Any, list[int]] = {}
        self._started: dict[int, float] = {}  # when the driver saw it

    def finish(self, done: Callable[[int], None], poll: float) -> None:
        """Make every task, looking each `poll` seconds; jobs that are left at an error are cancelled.

        Raises what a task met: see `Engine.run`.
        """
        self._notes.mkdir(parents=True)
        # Every n-th task: long and short ones, which lie together, are spread over all jobs.
        count = min(self._settings.slurm.jobs, len(self._left))
        try:
            self._submit([sorted(self._left)[start::count] for start in range(count)])
            while self._left:
                time.sleep(poll)
                self._read_notes(done)
                for job in [job for job in self._jobs if job.done()]:
                    self._end(job, done)
                self._give_up_stragglers()
        finally:
            for job in self._jobs:
                job.cancel(check=False)

    def _submit(self, shares: Iterable[list[int]]) -> None:
        given = [(Share(self._place, self._work, numbers, self._notes), numbers) for numbers in shares]
        try:
            with self._executor.batch():
                jobs = [self._executor.submit(share) for share, _ in given]
        except Exception as error:
            if type(error).__name__ != "FailedJobError":  # submitit's, which says what sbatch printed
                raise
            said = str(error).strip().splitlines()[-1]
            raise InputError(f"sbatch refused the jobs ({said}): see runtime.slurm in params.yaml") from None
        self._note_jobs([job.job_id for job in jobs])
        self._jobs |= {job: numbers for job, (_, numbers) in zip(jobs, given, strict=True)}

    def _read_notes(self, done: Callable[[int], None]) -> None:
        for note in list(self._notes.iterdir()):
            number = int(note.name.partition(".")[0])
            if note.suffix == _STARTED:
                self._started.setdefault(number, time.monotonic())
            elif note.suffix == _FINISHED and number in self._left:
                self._left.remove(number)
                done(json.loads(note.read_text()))

    def _end(self, job: Any, done: Callable[[int], None]) -> None:
        """Take note of a job that ended: well, with a mistake, with a bug, or killed."""
        error = job.exception()
        if error is None and (mistake := job.result()) is not None:
            raise mistake
        if error is not None and type(error).__name__ != "UncompletedJobError":
            raise RuntimeError(str(error))
        self._read_notes(done)
        self._again(job, f"its job {job.job_id} ended, see {job.paths.stderr}")

    def _give_up_stragglers(self) -> None:
        limit = self._settings.task_minutes
        if limit is None:
            return
        for job, numbers in list(self._jobs.items()):
            running = [number for number in numbers if number in self._left and number in self._started]
            if any(time.monotonic() - self._started[number] > limit * 60 for number in running):
                job.cancel(check=False)
                self._again(job, f"it took more than runtime.task_minutes ({limit:g})")

    def _again(self, job: Any, why: str) -> None:
        """Submit what a job left, where it left anything; the task in its hands is counted as lost."""
        numbers = [number for number in self._jobs.pop(job) if number in self._left]
        if not numbers:
            return
        suspects = [number for number in numbers if number in self._started] or numbers[:1]
        for number in suspects:
            self._lost[number] += 1
            self._started.pop(number, None)
            (self._notes / f"{number}{_STARTED}").unlink(missing_ok=True)
            if self._lost[number] > self._settings.task_retries:
                raise InputError(
                    f"a task of {self._work.label} was lost {self._lost[number]} times, the last time because {why}: "
                    "mend the cause, or raise runtime.task_retries; what was finished is kept"
                )
        self._submit([numbers])
