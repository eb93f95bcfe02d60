"""What all stages share: where things lie, their settings, and errors as sentences."""

import argparse
import errno
import gc
import json
import os
import sys
from collections.abc import Callable
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from bgdata.classes import ClassList, read_class_list
from bgdata.errors import InputError
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.lifetime import end_with_parent
from bgdata.quiet import keep_own_stderr
from pipeline import PARENT

CONFIG = Path("build/config")
CODE = Path("build/code")
RAW = Path("data/raw")
# What is too large, or not ours, to be an out of DVC's: archives and the trees unpacked from them.
DOWNLOADS = Path("data/downloads")
WEIGHTS = Path("data/weights")
TRANSFER_SETS = RAW / "transfer"
# What each backbone of the transfer is, by the hash of its weights.
BACKBONES = Path("data/backbones")
# A small file for each source of backgrounds, and which of them each recipe takes.
BACKGROUND_SOURCES = Path("data/sources")
RECIPE_BACKGROUNDS = Path("data/backgrounds")
# Networks of other tasks, on backbones. Not in RUNS, from which the backbones come.
TRANSFER = Path("transfer")
SETS = Path("data/in9")
# Beside the sets, not among them: as large as seventy-five of them.
CORRUPTED = Path("data/corrupted")
RUNS = Path("runs")
SCORES = Path("scores")
REPORT = Path("report")
# One submitted result a file.
LEADERBOARD = Path("docs/leaderboard")


def run_stage(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and run a stage; a user's mistake becomes one sentence and exit code 2."""
    gc.freeze()
    gc.enable()
    keep_own_stderr()
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
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or "the disk"
            sentence = f"no space is left on {where}: free some and run again; what is finished is kept"
        elif error.filename:
            sentence = f"{error.filename} cannot be read or written ({error.strerror}): mend it, run again"
        else:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)


def read_settings(name: str) -> Any:
    """The resolved settings of a stage or item, as the `config` stage wrote them.

    Raises InputError where there are none, with the items that the stage has.
    """
    path = CONFIG / f"{name}.json"
    if path.is_file():
        return json.loads(path.read_text())
    stage, _, item = name.partition("-")
    known = sorted(each.stem.removeprefix(f"{stage}-") for each in CONFIG.glob(f"{stage}-*.json"))
    if item and known:
        raise InputError(
            f"params.yaml has no {item} for {stage}: give one of {', '.join(known)}, or set it there and run "
            "`dvc repro config`"
        )
    raise InputError(f"{path} is missing: run `dvc repro config` first")


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
    if source in PUBLIC_LISTS:
        return DOWNLOADS / source
    if source == "folder":
        return _photo_folder()
    named = runtime()["imagenet"] or os.environ.get("IMAGENET")
    if named:
        return Path(named).expanduser()
    if source == "huggingface":
        return DOWNLOADS / "imagenet"
    raise InputError(
        "no ImageNet folder is named: set runtime.imagenet in params.yaml, or the variable IMAGENET, to the folder "
        "that holds ILSVRC/"
    )


def _photo_folder() -> Path:
    folder = runtime()["folder"]
    if folder is None:
        raise InputError("fetch.source is folder: set runtime.folder to the tree of class folders (train/<class>/...)")
    return Path(folder).expanduser()


def read_classes(record: Any) -> ClassList:
    """The list of classes in a stage's settings."""
    return read_class_list(record, where=str(CONFIG))


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


def transfer_root(name: str, source: str) -> Path:
    """Where the files of a set of the transfer tasks lie, by its source.

    Raises InputError where it is local and its folder is not named.
    """
    if source == "local":
        folder = runtime()["transfer"].get(name)
        if folder is None:
            raise InputError(f"the transfer set {name} is local: set runtime.transfer.{name} to its folder")
        return Path(folder).expanduser()
    return DOWNLOADS / "transfer" / name if source == "download" else TRANSFER_SETS / name


def run_folder(run: Path, number: int) -> Path:
    """Where the checkpoint of the `number`-th seed lies in a run: the first at its top, the others in folders."""
    return run if number == 0 else run / f"seed-{number}"


def run_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, one a seed, in the order in which training took them; the first even if missing."""
    others = takewhile(Path.is_file, (run_folder(run, number) / "model.pt" for number in count(1)))
    return [run / "model.pt", *others]


def pixel_cache() -> Path:
    """Where sets lie decoded for all recipes and seeds, a folder a set; to be removed whenever nothing is training."""
    return work_base() / "pixels"


def known_code() -> Path:
    """What `config` found in each module, for the stages that ask again which code they run."""
    return work_base() / "code.json"


def work_base() -> Path:
    """Where all scratch lies: `.work`, or $WORK_DIR."""
    return Path(os.environ.get("WORK_DIR", ".work"))
