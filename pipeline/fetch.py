"""Put the raw data into data/raw/photos: draw the demo's scenes, or list the ImageNet tree that is on this machine."""

import argparse
import os

from bgdata.ingest.ilsvrc import LISTING, find_tree, write_listing
from bgdata.synthetic.settings import SyntheticSettings
from bgdata.synthetic.tree import write_ilsvrc_tree
from pipeline._stage import RAW, read_settings, run_stage, runtime, workspace


def main(_: argparse.Namespace) -> None:
    """Draw or list, by `source`; either way a listing of all files lies in data/raw/photos."""
    settings = read_settings("fetch")
    with workspace("fetch", settings=settings, inputs={}, outs={"photos": RAW / "photos"}) as work:
        root = runtime()["imagenet"] or os.environ.get("IMAGENET")
        if settings["source"] == "synthetic":
            root = work / "photos"
            scenes = SyntheticSettings.model_validate(settings["synthetic"]).model_dump()
            size = (scenes["size"], scenes["size"])
            workers = runtime()["workers"]
            write_ilsvrc_tree(root, **scenes | {"size": size}, seed=settings["seed"], workers=workers)
        files = write_listing(find_tree(root), work / "photos" / LISTING)
    print(f"fetch: {files} files listed in {RAW / 'photos' / LISTING}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(description=__doc__))
