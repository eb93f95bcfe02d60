"""What all stages share: where things lie, one workspace a stage, and errors as sentences."""

import argparse
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bgdata.errors import InputError
from bgdata.parallel import end_with_parent
from bgdata.shards import PARTS

CONFIG = Path("build/config")
RAW = Path("data/raw")
SETS = Path("data/in9")
RUNS = Path("runs")
SCORES = Path("scores")
REPORT = Path("report")
_DONE = "done"


def run_stage(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and run a stage; a user's mistake becomes one sentence and exit code 2."""
    arguments = parser.parse_args()
    if "DVC_STAGE" in os.environ:
        # A killed dvc would leave this stage running, and the next `dvc repro` would meet its lock.
        end_with_parent(os.getppid())
    try:
        main(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped: run again to go on from what is finished", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or "the disk"
        print(f"error: no space is left on {where}: free some and run again; what is finished is kept", file=sys.stderr)
        sys.exit(2)


def read_settings(name: str) -> Any:
    """The resolved settings of a stage or item, as the `config` stage wrote them."""
    path = CONFIG / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro config` first (a recipe must also stand in params.yaml)")
    return json.loads(path.read_text())


def runtime() -> dict[str, Any]:
    """Device, workers and the like: change no result, so no stage depends on them."""
    return read_settings("runtime")


@contextmanager
def workspace(stage: str, *, settings: Any, inputs: Mapping[str, Path], outs: Mapping[str, Path]) -> Iterator[Path]:
    """A scratch folder in which a killed stage goes on where it was, published to `outs` when the block ends well.

    `inputs` are files whose bytes identify what is read (manifests); with the settings and the project modules that the
    stage has imported they make the fingerprint: another fingerprint starts anew. `outs` maps names in the scratch
    folder to where they go. Files are linked, not moved, and the folder stays until DVC has recorded the outs: a
    kill in between loses nothing.
    """
    base = Path(os.environ.get("WORK_DIR", ".work"))
    _sweep(base)
    folder = base / stage
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=5)
    except Timeout:
        raise InputError(f"another process is running {stage} in {folder}: wait for it to end, or stop it") from None
    with lock:
        work = folder / _fingerprint(settings, inputs)
        for stale in folder.iterdir():
            if stale.is_dir() and stale != work:
                shutil.rmtree(stale)
        work.mkdir(exist_ok=True)
        (work / _DONE).unlink(missing_ok=True)
        yield work
        for name, out in outs.items():
            _publish(work / name, out)
        (work / _DONE).touch()


def _fingerprint(settings: Any, inputs: Mapping[str, Path]) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, path in sorted(inputs.items()):
        if not path.is_file():
            raise InputError(f"{path} is missing: run the stage that makes it first (`dvc repro` does)")
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    root = Path(__file__).resolve().parent.parent
    files = {Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    for file in sorted(path for path in files if path.suffix == ".py" and path.is_relative_to(root)):
        parts = file.relative_to(root).parts
        if parts[0] in ("bgdata", "models", "pipeline"):
            digest.update(b"\0" + "/".join(parts).encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _publish(source: Path, out: Path) -> None:
    if not source.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
        _link(source, out)
        return
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(source, out, copy_function=_link, ignore=shutil.ignore_patterns(PARTS, "*.tmp"))


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _sweep(base: Path) -> None:
    """Remove the scratch folders whose outs DVC has recorded (its lock file is younger than they are)."""
    lock_file = Path("dvc.lock")
    if not lock_file.is_file():
        return
    recorded = lock_file.stat().st_mtime
    for done in base.glob(f"*/*/{_DONE}"):
        if done.stat().st_mtime < recorded:
            shutil.rmtree(done.parent, ignore_errors=True)
