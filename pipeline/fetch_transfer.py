"""Put the sets of the transfer tasks into data/raw/transfer: drawn, or listed where they lie or are unpacked."""

import argparse
from pathlib import Path
from typing import Any

from bgdata.fetch.transfer import download_transfer_set, write_transfer_listing
from bgdata.ingest.candidates import LISTING
from bgdata.synthetic.layouts import write_scenes
from pipeline._stage import TRANSFER_SETS, read_settings, run_stage, runtime, transfer_root
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Draw, or download and unpack, each set that a task uses; data/raw/transfer/<set> lists its files."""
    settings = read_settings("fetch_transfer")
    with workspace("fetch_transfer", settings=settings, inputs={}, outs={"sets": TRANSFER_SETS}) as work:
        (work / "sets").mkdir(exist_ok=True)
        for name, its in settings["sets"].items():
            _fetch(name, its, work / "sets" / name, seed=settings["seed"])


def _fetch(name: str, settings: dict[str, Any], out: Path, *, seed: int) -> None:
    layout, source = settings["layout"], settings["source"]
    root = out if source == "synthetic" else transfer_root(name, source)
    if source == "synthetic":
        write_scenes(root, **settings["scenes"], seed=seed, workers=runtime()["workers"])
    elif source == "download":
        download_transfer_set(layout, root, mirror=runtime()["mirror"])
    files = write_transfer_listing(layout, root, out / LISTING)
    print(f"fetch_transfer: {files} files of {name} ({layout}, {source})")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.fetch_transfer", description=__doc__))
