"""Put a set with true masks into data/raw/<set>: draw the demo's, or list one on this machine or from the web."""

import argparse
from pathlib import Path

from bgdata.fetch.segmentation import download_set, write_set_listing
from bgdata.ingest.candidates import LISTING
from bgdata.synthetic.layouts import LAYOUTS
from pipeline._stage import DOWNLOADS, RAW, read_settings, run_stage, runtime, set_root
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Draw, or download and unpack; either way a listing of the set's files lies in data/raw/<set>."""
    name = arguments.set
    settings = read_settings(f"fetch-{name}")
    source = settings["source"]
    with workspace(f"fetch_segmentation-{name}", settings=settings, inputs={}, outs={name: RAW / name}) as work:
        root: Path | None = None
        if source == "synthetic":
            root = work / name
            LAYOUTS[name](root, **settings["scenes"], seed=settings["seed"])
        elif source != "none":
            root = set_root(name, source)
            if source == "download":
                download_set(name, DOWNLOADS / name, mirror=runtime()["mirror"])
        files = write_set_listing(name, root, work / name / LISTING)
    print(f"fetch_segmentation: {files} files of {name} ({source})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch_segmentation", description=__doc__)
    parser.add_argument("set", choices=sorted(LAYOUTS), help="the set")
    run_stage(main, parser)
