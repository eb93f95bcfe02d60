"""Get the raw photos: draw the demo's scenes, download a sample or a part of ImageNet, or list the tree on disk."""

import argparse
import os

from bgdata.fetch.boxes import fetch_boxes
from bgdata.fetch.public_lists import PUBLIC_LISTS
from bgdata.fetch.public_photos import fetch_public_photos
from bgdata.fetch.sample import fetch_sample
from bgdata.ingest.candidates import LISTING, write_listing
from bgdata.ingest.sources import open_source
from bgdata.synthetic.settings import SyntheticSettings
from bgdata.synthetic.tree import write_ilsvrc_tree
from pipeline._stage import DOWNLOADS, RAW, photo_root, read_classes, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Draw, download or find, by `source`; in any case a listing of all files lies in data/raw/photos."""
    settings = read_settings("fetch")
    source, mirror = settings["source"], runtime()["mirror"]
    classes = read_classes(settings["classes"])
    wnids = [*classes.label_by_wnid]
    with workspace("fetch", settings=settings, inputs={}, outs={"photos": RAW / "photos"}) as work:
        root = work / "photos" if source == "synthetic" else photo_root(source)
        if source == "synthetic":
            scenes = SyntheticSettings.model_validate(settings["synthetic"]).model_dump()
            size = (scenes["size"], scenes["size"])
            workers = runtime()["workers"]
            write_ilsvrc_tree(root, **scenes | {"size": size}, seed=settings["seed"], workers=workers)
        elif source == "huggingface":
            from bgdata.fetch.huggingface import fetch_imagenet  # here, as pyarrow takes half a second

            limits, token = settings["huggingface"], os.environ.get("HF_TOKEN")
            tree = fetch_imagenet(
                root,
                wnids=wnids,
                downloads=DOWNLOADS / "huggingface",
                token=token,
                train_per_wnid=limits["train_per_wnid"],
                val_per_wnid=limits["val_per_wnid"],
                mirror=mirror,
            )
            fetch_boxes(tree, downloads=DOWNLOADS, mirror=mirror)
        elif source == "sample":
            fetch_sample(root, wnids=wnids, downloads=DOWNLOADS, mirror=mirror)
        elif source in PUBLIC_LISTS:
            fetch_public_photos(source, root, downloads=DOWNLOADS / f"{source}-archives", mirror=mirror)
        listed = open_source(source, root, classes)
        files = write_listing(*listed, work / "photos" / LISTING)
    print(f"fetch: {files} files listed in {RAW / 'photos' / LISTING}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.fetch", description=__doc__))
