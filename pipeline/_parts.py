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


def parse_part(text: str) -> tuple[int, int]:
    """`2/4` as (2, 4)."""
    first, _, count = text.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N, as 2/4")
    return int(first), int(count)


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
        for part in range(1, count + 1):
            log = stack.enter_context((work / f"part-{part}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", module, *_command(arguments, part, work)],
                stdout=log,
                stderr=None if part == 1 else log,
                env=os.environ | _threads(count),
            )
            stack.callback(process.kill)
            parts.append(process)
        for part, process in enumerate(parts, 1):
            if process.wait() != 0:
                lines = (work / f"part-{part}.log").read_text().strip().splitlines()
                raise InputError(f"part {part}/{count} failed ({lines[-1] if lines else 'see above'})")
        yield work


def _command(arguments: argparse.Namespace, part: int, work: Path) -> list[str]:
    """The command line of one part: later arguments overrule what the user said."""
    own = ["--processes", "1", "--part", f"{part}/{arguments.processes}", "--work", str(work)]
    out = ["--out", str(work / f"part-{part}.json")] if arguments.out else []
    gpus = torch.cuda.device_count()
    device = ["--device", f"cuda:{(part - 1) % gpus}"] if gpus and arguments.device in ("auto", "cuda") else []
    return [*sys.argv[1:], *own, *out, *device]


def _threads(processes: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // processes, 1))}
