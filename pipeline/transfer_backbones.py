"""Say what each backbone of the transfer is: its settings, and the hash of its weights. So only a backbone that changed
has its networks trained anew."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from pipeline._stage import BACKBONES, RUNS, read_settings, run_stage


def main(_: argparse.Namespace) -> None:
    """Write data/backbones/<name>.json of each; those of others are removed."""
    backbones: dict[str, dict[str, Any]] = read_settings("transfer_backbones")["backbones"]
    records = {name: _record(name, settings) for name, settings in backbones.items()}
    BACKBONES.mkdir(parents=True, exist_ok=True)
    for stale in BACKBONES.glob("*.json"):
        if stale.stem not in records:
            stale.unlink()
    for name, record in records.items():
        write_text_whole(BACKBONES / f"{name}.json", json.dumps(record, indent=1) + "\n")


def _record(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Raises InputError where the backbone's name or file is none."""
    if settings.get("arch") is not None:
        from models.transfer.loading import check_arch  # here: needs PyTorch, recipes alone do not

        check_arch(settings["arch"])
    file = _file(settings)
    if file is None:
        return settings
    if not file.is_file():
        raise InputError(
            f"transfer.backbones.{name}: {file} is no file: name its checkpoint, or train the recipe first"
        )
    with file.open("rb") as content:
        return settings | {"sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _file(settings: dict[str, Any]) -> Path | None:
    """The file of weights that settings mean; None of weights by name, or drawn."""
    if settings.get("recipe") is not None:
        return RUNS / settings["recipe"] / "model.pt"
    if settings.get("file") is not None:
        return Path(settings["file"])
    weights = settings.get("weights")
    return Path(weights) if weights is not None and Path(weights).is_file() else None


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.transfer_backbones", description=__doc__))
