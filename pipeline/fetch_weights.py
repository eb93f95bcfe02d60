"""Fetch the published weights that the methods in use need into data/weights/<group>/<source>/."""

import argparse
import json
import os
from pathlib import Path

from bgdata.fetch.gated import fetch_gated
from bgdata.fetch.part import is_right
from bgdata.fetch.sources import SOURCES, RemoteFile
from bgdata.shards import MANIFEST, write_text_whole
from pipeline._stage import WEIGHTS, read_settings, run_stage, runtime
from pipeline._workspace import link_file, workspace


def main(arguments: argparse.Namespace) -> None:
    """Write a folder for each wanted source of the group, and a manifest of all; without files where none is wanted.

    What an earlier run fetched is not fetched again.
    """
    group = arguments.group
    settings = read_settings(f"weights-{group}")
    out = WEIGHTS / group
    files = {source: SOURCES[source] for source in settings["wanted"]}
    with workspace(f"fetch_weights-{group}", settings=settings, inputs={}, outs={group: out}) as work:
        for source, remotes in files.items():
            for file in remotes:
                _fetch(file, work / group / source, before=out / source)
        (work / group).mkdir(exist_ok=True)
        hashes = {source: {file.name: file.sha256 or file.md5 for file in of} for source, of in files.items()}
        write_text_whole(work / group / MANIFEST, json.dumps({"files": hashes}, indent=1) + "\n")
    print(f"fetch_weights: {group}: {', '.join(files) or 'not needed by the methods in use'}")


def _fetch(file: RemoteFile, folder: Path, *, before: Path) -> None:
    """Put a file into a folder: the one of an earlier run where it is the right one, else from its publisher."""
    known = before / file.name
    if not (folder / file.name).exists() and known.is_file() and is_right(file, known):
        folder.mkdir(parents=True, exist_ok=True)
        link_file(known, folder / file.name)
    fetch_gated(file, folder, gate=file.gate, token=os.environ.get("HF_TOKEN"), mirror=runtime()["mirror"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch_weights", description=__doc__)
    parser.add_argument("group", help="segmenters or inpainting")
    run_stage(main, parser)
