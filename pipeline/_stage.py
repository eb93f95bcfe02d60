"""What all stages share: where things lie, one workspace a stage, and errors as sentences."""

import argparse
import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bgdata.errors import InputError
from bgdata.parallel import end_with_parent
from bgdata.shards import MANIFEST, PARTS, write_text_whole
from pipeline import PARENT

CONFIG = Path("build/config")
RAW = Path("data/raw")
# What is too large, or not ours, to be an out of DVC's: archives and the trees unpacked from them.
DOWNLOADS = Path("data/downloads")
WEIGHTS = Path("data/weights")
SETS = Path("data/in9")
RUNS = Path("runs")
SCORES = Path("scores")
REPORT = Path("report")
# One submitted result a file.
LEADERBOARD = Path("docs/leaderboard")
_DONE = "done"


def run_stage(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and run a stage; a user's mistake becomes one sentence and exit code 2."""
    arguments = parser.parse_args()
    if "DVC_STAGE" in os.environ:
        # A killed dvc would leave this stage running, and the next `dvc repro` would meet its lock.
        end_with_parent(PARENT)
    try:
        main(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped: run again to go on from what is finished", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        where = error.filename or "the disk"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sentence = f"no space is left on {where}: free some and run again; what is finished is kept"
        elif isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError):
            sentence = f"{where} cannot be read or written ({error.strerror}): change it or its permissions, run again"
        else:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)


def read_settings(name: str) -> Any:
    """The resolved settings of a stage or item, as the `config` stage wrote them."""
    path = CONFIG / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run `dvc repro config` first (a recipe must also stand in params.yaml)")
    return json.loads(path.read_text())


def runtime() -> dict[str, Any]:
    """Device, workers and the like: no stage depends on them, so their changes rerun nothing.

    `workers: auto` becomes the number of cores that this process may use.
    """
    settings: dict[str, Any] = read_settings("runtime")
    if settings["workers"] == "auto":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        settings["workers"] = cores
    return settings


def photo_root(source: str) -> Path:
    """Where the photos of a source (`fetch.source`) lie.

    Raises InputError where the user's ImageNet folder is not named.
    """
    if source in ("synthetic", "sample"):
        return RAW / "photos" if source == "synthetic" else DOWNLOADS / "imagenet_sample"
    named = runtime()["imagenet"] or os.environ.get("IMAGENET")
    if named:
        return Path(named).expanduser()
    if source == "huggingface":
        return DOWNLOADS / "imagenet"
    raise InputError(
        "no ImageNet folder is named: set runtime.imagenet in params.yaml, or the variable IMAGENET, to the folder "
        "that holds ILSVRC/"
    )


def set_root(name: str, source: str) -> Path:
    """Where the files of a segmentation set lie, by its source.

    Raises InputError where it is local and its folder is not named.
    """
    if source == "local":
        folder = runtime()[name]
        if folder is None:
            raise InputError(f"evaluate_segmentation.sources.{name} is local: set runtime.{name} to its folder")
        return Path(folder).expanduser()
    return (DOWNLOADS if source == "download" else RAW) / name


def run_folder(run: Path, number: int) -> Path:
    """Where the checkpoint of the `number`-th seed lies in a run: the first at its top, the others in folders."""
    return run if number == 0 else run / f"seed-{number}"


def run_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, one a seed, in the order in which training took them; the first even if missing."""
    others = takewhile(Path.is_file, (run_folder(run, number) / "model.pt" for number in count(1)))
    return [run / "model.pt", *others]


def pixel_cache() -> Path:
    """Where sets lie decoded for all recipes and seeds, a folder a set; to be removed whenever nothing is training."""
    return _work_base() / "pixels"


def weights_manifests() -> dict[str, Path]:
    """The manifests of the fetched weights, as inputs of a workspace."""
    return {f"weights/{path.parent.name}": path for path in sorted(WEIGHTS.glob(f"*/{MANIFEST}"))}


@contextmanager
def workspace(stage: str, *, settings: Any, inputs: Mapping[str, Path], outs: Mapping[str, Path]) -> Iterator[Path]:
    """A scratch folder in which a killed stage goes on where it was, published to `outs` when the block ends well.

    `inputs` are files whose bytes identify what is read (manifests); with the settings and the project modules that the
    stage has imported they make the fingerprint: another fingerprint starts anew. `outs` maps names in the scratch
    folder to where they go. Files are linked, not moved, and the folder stays until DVC has recorded the outs: a
    kill in between loses nothing.
    """
    base = _work_base()
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
            if stale.name.startswith(".gone-"):
                shutil.rmtree(stale, ignore_errors=True)
            elif stale.is_dir() and stale != work:
                _remove(stale)
        work.mkdir(exist_ok=True)
        (work / _DONE).unlink(missing_ok=True)
        yield work
        for name, out in outs.items():
            _publish(work / name, out)
        write_text_whole(work / _DONE, json.dumps({str(out): _size(out) for out in outs.values()}))


def _work_base() -> Path:
    return Path(os.environ.get("WORK_DIR", ".work"))


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
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source)
        if path.is_file() and PARTS not in place.parts and path.suffix != ".tmp":
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            _link(path, out / place)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copy2(source, target)


def _sweep(base: Path) -> None:
    """Remove the scratch folders whose outs DVC has recorded: dvc.lock is younger, and has them at their size."""
    lock_file = Path("dvc.lock")
    if not lock_file.is_file():
        return
    recorded, text = lock_file.stat().st_mtime, lock_file.read_text()
    for done in base.glob(f"*/*/{_DONE}"):
        try:
            sizes = json.loads(done.read_text()) if done.stat().st_mtime < recorded else None
        except FileNotFoundError:  # another stage sweeps at the same time
            continue
        if sizes is not None and all(_is_recorded(out, size, text) for out, size in sizes.items()):
            _remove(done.parent)


def _is_recorded(out: str, size: int, lock_text: str) -> bool:
    entry = rf"- path: {re.escape(out)}\n(?: +(?:hash|md5): .*\n)* +size: {size}\n"
    return re.search(entry, lock_text) is not None


def _size(out: Path) -> int:
    files = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else [out]
    return sum(path.stat().st_size for path in files)


def _remove(folder: Path) -> None:
    """Remove a scratch folder; a kill in between leaves nothing that a later run could take for finished."""
    gone = folder.with_name(f".gone-{folder.name}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    except OSError:  # an earlier removal was cut short
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
