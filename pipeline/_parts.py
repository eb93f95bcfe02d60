"""One command as several processes: each does a part in a folder that all share, then one finds all done."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from bgdata.errors import InputError
from pipeline._arguments import check_folder, part, positive


def add_parts_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a command keeps what is done, and which part of it a process does."""
    parser.add_argument("--work", type=Path, help="folder that keeps what is done: run again after a kill to go on")
    parser.add_argument("--part", type=part, default=(1, 1), metavar="I/N", help="every n-th foreground alone")
    parser.add_argument("--processes", type=positive, default=1, help="judge in so many processes (GPUs in turn)")


def check_parts(arguments: argparse.Namespace) -> None:
    """Raise InputError where `--work` cannot be written, or one part was to be done in several processes."""
    check_folder(arguments.work, argument="--work")
    if arguments.processes > 1 and arguments.part[1] > 1:
        raise InputError("--part names the part of one process: give it, or --processes, which makes parts itself")


def part_record(arguments: argparse.Namespace) -> dict[str, str]:
    """What a result says of being a part."""
    return {"part": f"{arguments.part[0]}/{arguments.part[1]}"} if arguments.part[1] > 1 else {}


@contextmanager
def judged_in_parts(module: str, arguments: argparse.Namespace) -> Iterator[Path | None]:
    """The folder of what is done (None: it is kept nowhere); of several processes when all have done their parts.

    Raises InputError where a part fails.
    """
    if arguments.processes == 1:
        yield arguments.work
    else:
        with run_parts(module, arguments) as work:
            yield work


@contextmanager
def run_parts(module: str, arguments: argparse.Namespace) -> Iterator[Path]:
    """Run this very command in `--processes` parts, then hand over the folder with what they did.

    The folder is `--work`, or one that is removed at the end. The first part's progress is shown, the others' output
    goes to `part-<i>.log` in the folder.

    Raises InputError where a part fails, with its last line.
    """
    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="challenge-")))
        work.mkdir(parents=True, exist_ok=True)
        count = arguments.processes
        parts = []
        for number in range(1, count + 1):
            log = stack.enter_context((work / f"part-{number}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", module, *_command(arguments, number, work)],
                stdout=log,
                stderr=None if number == 1 else log,
                env=os.environ | _threads(count),
            )
            stack.callback(process.kill)
            parts.append(process)
        for number, process in enumerate(parts, 1):
            if process.wait() != 0:
                lines = (work / f"part-{number}.log").read_text().strip().splitlines()
                raise InputError(f"part {number}/{count} failed ({lines[-1] if lines else 'see above'})")
        yield work


def _command(arguments: argparse.Namespace, number: int, work: Path) -> list[str]:
    """The command line of one part: later arguments overrule what the user said."""
    own = ["--processes", "1", "--part", f"{number}/{arguments.processes}", "--work", str(work)]
    out = ["--out", str(work / f"part-{number}.json")] if arguments.out else []
    gpus = torch.cuda.device_count()
    device = ["--device", f"cuda:{(number - 1) % gpus}"] if gpus and arguments.device in ("auto", "cuda") else []
    return [*sys.argv[1:], *own, *out, *device]


def _threads(processes: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // processes, 1))}
