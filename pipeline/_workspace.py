"""Where a stage works: a scratch folder in which a killed one goes on where it was, published when it ends."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bgdata.compose.names import background_set
from bgdata.errors import InputError
from bgdata.shards import MANIFEST, PARTS, write_text_whole
from pipeline._code import Code
from pipeline._engine import engine_in_use
from pipeline._stage import WEIGHTS, known_code, work_base

_DONE = "done"


@contextmanager
def workspace(stage: str, *, settings: Any, inputs: Mapping[str, Path], outs: Mapping[str, Path]) -> Iterator[Path]:
    """A scratch folder in which a killed stage goes on where it was, published to `outs` when the block ends well.

    `stage` is its module's name, and after a dash the item's. `inputs` are files whose bytes identify what is read
    (manifests); with the settings and the stage's code they make the fingerprint: another fingerprint starts anew.
    `outs` maps names in the scratch folder to where they go. Files are linked, not moved, and the folder stays until
    DVC has recorded the outs: a kill in between loses nothing.
    """
    base = work_base()
    _sweep(base)
    folder = base / stage
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=5)
    except Timeout:
        raise InputError(f"another process is running {stage} in {folder}: wait for it to end, or stop it") from None
    with lock:
        work = folder / fingerprint(stage.partition("-")[0], settings, inputs)
        for stale in folder.iterdir():
            if stale.name.startswith(".gone-"):
                shutil.rmtree(stale, ignore_errors=True)
            elif stale.is_dir() and stale != work:
                _remove(stale)
        work.mkdir(exist_ok=True)
        (work / _DONE).unlink(missing_ok=True)
        for unfinished in work.rglob("*.tmp"):  # of a killed run; a writer of it that still lives cannot name it now
            unfinished.unlink(missing_ok=True)
        with engine_in_use(work):
            yield work
        for name, out in outs.items():
            _publish(work / name, out)
        write_text_whole(work / _DONE, json.dumps({str(out): _size(out) for out in outs.values()}))


def weights_manifests(*groups: str) -> dict[str, Path]:
    """The manifests of the weights that were fetched, as inputs of a workspace."""
    found = {f"weights/{group}": WEIGHTS / group / MANIFEST for group in groups}
    return {name: path for name, path in found.items() if path.is_file()}


def fingerprint(stage: str, settings: Any, inputs: Mapping[str, Path]) -> str:
    """What a stage's results are of, in 12 hexadecimal digits: its settings, its code, and the bytes of files.

    Raises InputError where a file is missing.
    """
    digest = hashlib.sha256(json.dumps([settings, Code(known=known_code()).of(stage)], sort_keys=True).encode())
    for name, path in sorted(inputs.items()):
        if not path.is_file():
            raise InputError(f"{path} is missing: run the stage that makes it first (`dvc repro` does)")
        digest.update(f"\0{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _publish(source: Path, out: Path) -> None:
    if not source.is_dir():
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
        link_file(source, out)
        return
    if out.exists():
        shutil.rmtree(out)
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source)
        if path.is_file() and PARTS not in place.parts and path.suffix != ".tmp":
            (out / place).parent.mkdir(parents=True, exist_ok=True)
            link_file(path, out / place)


def write_source(work: Path, source: str) -> None:
    """Say in `work/<source>.json` what the set of backgrounds beside it is, by the hash of its manifest."""
    name = background_set(source)
    digest = hashlib.sha256((work / name / MANIFEST).read_bytes()).hexdigest()
    write_text_whole(work / f"{source}.json", json.dumps({"set": name, "manifest_sha256": digest}, indent=1) + "\n")


def link_file(source: Path, target: Path) -> None:
    """Put a file in a second place, without a copy where the file system can."""
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
