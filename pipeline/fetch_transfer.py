"""Put a set of the transfer tasks into data/raw/<set>: draw its scenes, or list one on this machine or from the web."""

import argparse

from bgdata.fetch.transfer import download_transfer_set, write_transfer_listing
from bgdata.ingest.candidates import LISTING
from bgdata.synthetic.layouts import write_scenes
from pipeline._stage import RAW, read_settings, run_stage, runtime, transfer_root
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Draw, or download and unpack; either way a listing of the set's files lies in data/raw/<set>."""
    name = arguments.set
    settings = read_settings(f"fetch_transfer-{name}")
    layout, source = settings["layout"], settings["source"]
    with workspace(f"fetch_transfer-{name}", settings=settings, inputs={}, outs={name: RAW / name}) as work:
        root = work / name if source == "synthetic" else transfer_root(name, source)
        if source == "synthetic":
            write_scenes(root, **settings["scenes"], seed=settings["seed"])
        elif source == "download":
            download_transfer_set(layout, root, mirror=runtime()["mirror"])
        files = write_transfer_listing(layout, root, work / name / LISTING)
    print(f"fetch_transfer: {files} files of {name} ({layout}, {source})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.fetch_transfer", description=__doc__)
    parser.add_argument("set", help="the set, as params.yaml calls it")
    run_stage(main, parser)
