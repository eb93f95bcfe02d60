"""Fetch one source of weights into data/weights/<source>, where a segmenter in use needs it."""

import argparse
import json

from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from bgdata.shards import MANIFEST, write_text_whole
from pipeline._stage import WEIGHTS, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Write data/weights/<source>: its files and a manifest of them; without files where nothing needs them."""
    name = arguments.source
    settings = read_settings(f"weights-{name}")
    with workspace(f"fetch_weights-{name}", settings=settings, inputs={}, outs={name: WEIGHTS / name}) as work:
        files = SOURCES[name] if settings["wanted"] else ()
        for file in files:
            fetch_file(file, work / name, mirror=runtime()["mirror"])
        (work / name).mkdir(exist_ok=True)
        manifest = {"wanted": settings["wanted"], "files": {file.name: file.sha256 for file in files}}
        write_text_whole(work / name / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    print(f"fetch_weights: {name}: {', '.join(file.name for file in files) or 'not needed by the methods in use'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch_weights", description=__doc__)
    parser.add_argument("source", help="a source of weights, as sam_vit_b")
    run_stage(main, parser)
