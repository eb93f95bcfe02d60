"""Slurm's commands, as far as submitit calls them, on one machine: jobs are processes. State lies in $FAKE_SLURM.

python fake_slurm.py sbatch|srun|sacct|scancel|scontrol ARGUMENTS
"""

import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path


def jobs() -> Path:
    return Path(os.environ["FAKE_SLURM"])


def sbatch(script: str) -> None:
    """Start each job of an array, or the one job, and print the number."""
    text = Path(script).read_text()
    if "--partition=none" in text:
        sys.exit("sbatch: error: invalid partition specified: none")
    number = 1 + len(list(jobs().glob("*.sh")))
    (jobs() / f"{number}.sh").write_text(text)
    array = re.search(r"#SBATCH --array=0-(\d+)", text)
    for name in [f"{number}_{index}" for index in range(int(array[1]) + 1)] if array else [str(number)]:
        (jobs() / f"{name}.state").write_text("PENDING")
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)  # sbatch ends before its jobs
        subprocess.Popen([sys.executable, __file__, "run", name], start_new_session=True, **streams)
    sys.stdout.write(f"Submitted batch job {number}\n")


def run(name: str) -> None:
    """Run a job's script, again where it was requeued."""
    number, _, index = name.partition("_")
    told = {"SLURM_JOB_ID": str(10_000 + int(number) * 100 + int(index or 0)), "SLURM_NTASKS": "1"}
    told |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": index} if index else {"SLURM_JOB_ID": number}
    state, requeued = jobs() / f"{name}.state", jobs() / f"{name}.requeue"
    while True:
        process = subprocess.Popen(["bash", str(jobs() / f"{number}.sh")], env=os.environ | told)
        (jobs() / f"{name}.pid").write_text(str(os.getpid()))
        state.write_text("RUNNING")
        code = process.wait()
        if not requeued.exists():
            break
        requeued.unlink()
    state.write_text("COMPLETED" if code == 0 else "FAILED")


def srun(*arguments: str) -> None:
    """Run a command with its streams where sbatch's file says."""
    options = dict(pairwise(arguments))
    job, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    name = f"{job}_{index}" if job else os.environ["SLURM_JOB_ID"]
    for stream, option in ((1, "--output"), (2, "--error")):
        path = options[option].replace("%A_%a", name).replace("%j", name).replace("%t", "0")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    command = list(arguments)[arguments.index(options["--error"]) + 1 :]
    os.execvp(command[0], command)


def sacct(*_: str) -> None:
    """The state of all jobs."""
    sys.stdout.write("JobID|State|NodeList\n")
    for state in jobs().glob("*.state"):
        sys.stdout.write(f"{state.stem}|{state.read_text()}|localhost\n")


def scancel(*names: str) -> None:
    """Kill jobs, or all of an array."""
    for name in names:
        for pid in [*jobs().glob(f"{name}.pid"), *jobs().glob(f"{name}_*.pid")]:
            (jobs() / f"{pid.stem}.state").write_text("CANCELLED")
            try:
                os.killpg(int(pid.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                continue


def scontrol(requeue: str, name: str) -> None:
    """Let a job run again when it ends."""
    assert requeue == "requeue"
    (jobs() / f"{name}.requeue").touch()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
