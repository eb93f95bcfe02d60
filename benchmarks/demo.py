"""Where the demo's minutes go: each stage's seconds, how many of them it imports, and what dvc takes in between.

    git clone . /tmp/demo && python -m benchmarks.demo /tmp/demo

runs `dvc repro` there as `make demo` does, with a `python` on the PATH that notes when it starts and ends.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

# As the Makefile has it.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "99999999999", "MALLOC_TOP_PAD_": "67108864"}
SHIM = """#!/bin/sh
start=$(date +%s.%N)
{python} "$@"
code=$?
echo "$start $(date +%s.%N) $2" >>{log}
exit $code
"""


@dataclass(frozen=True)
class Run:
    """One start of a stage's module: seconds since the epoch."""

    start: float
    end: float
    module: str


def main(arguments: argparse.Namespace) -> None:
    """Run the demo, then print the table."""
    with tempfile.TemporaryDirectory() as folder:
        start, end, runs = repro(arguments.clone, Path(folder))
    imports = {module: import_seconds(arguments.clone, module) for module in {run.module for run in runs}}
    print("| stage | runs | seconds | of it imports |\n|---|---|---|---|")
    by_module = defaultdict(list)
    for run in runs:
        by_module[run.module].append(run.end - run.start)
    for module, seconds in by_module.items():
        name = module.removeprefix("pipeline.")
        print(f"| {name} | {len(seconds)} | {sum(seconds):.1f} | {len(seconds) * imports[module]:.1f} |")
    inside = sum(run.end - run.start for run in runs)
    importing = sum(imports[run.module] for run in runs)
    print(f"| **all stages** | {len(runs)} | {inside:.1f} | {importing:.1f} |")
    between = sorted(after.start - before.end for before, after in pairwise(runs))
    print(f"| dvc, between two stages (median {median(between):.2f}) | {len(between)} | {sum(between):.1f} | |")
    print(f"| dvc, before the first and after the last | | {end - start - inside - sum(between):.1f} | |")
    print(f"| **the demo** | | **{end - start:.1f}** | |")


def repro(clone: Path, folder: Path) -> tuple[float, float, list[Run]]:
    """`dvc repro` in a clone: when it started and ended, and what it ran, in order."""
    log, shim = folder / "log", folder / "python"
    shim.write_text(SHIM.format(python=sys.executable, log=log))
    shim.chmod(0o755)
    tools = Path(sys.executable).parent
    environment = os.environ | ALLOCATOR | {"PATH": f"{folder}:{tools}:{os.environ['PATH']}"}
    start = time.time()
    subprocess.run([tools / "dvc", "repro"], cwd=clone, env=environment, check=True, stdout=sys.stderr)
    end = time.time()
    lines = [line.split() for line in log.read_text().splitlines()]
    return start, end, [Run(float(began), float(ended), module) for began, ended, module in lines]


def import_seconds(clone: Path, module: str) -> float:
    """What a stage's own start takes, as `python -m` does it, the best of three."""
    code = f"import sys; sys.argv[0] = '-m'; import {module}"
    if (clone / module.replace(".", "/")).is_dir():
        code += ".__main__"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=clone, check=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("clone", type=Path, help="a fresh clone of the project, whose demo has not run")
    main(parser.parse_args())
