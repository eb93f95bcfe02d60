"""Write all train photos of the classes, boxes or not, as data/in9/in9l, where a recipe trains on it."""

import argparse
from pathlib import Path

from bgdata.in9l import IN9L, In9LSettings, write_in9l
from bgdata.ingest.candidates import LISTING
from bgdata.ingest.filters import read_excluded
from bgdata.ingest.folder import ValShare
from bgdata.ingest.sources import open_listed
from bgdata.labels import IN9
from bgdata.shards import finish_set
from pipeline._stage import RAW, SETS, photo_root, read_classes, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write the set; without images where no recipe wants it."""
    resolved = read_settings("in9l")
    out = {IN9L: SETS / IN9L}
    if resolved is None:
        with workspace("in9l", settings=resolved, inputs={}, outs=out) as work:
            (work / IN9L).mkdir(exist_ok=True)
            finish_set(work / IN9L, classes=IN9)
        return
    keys = ("source", "exclude_ids", "classes", "val_share", "seed")
    source, exclude_ids, classes, val_share, seed = (resolved.pop(key) for key in keys)
    listing = RAW / "photos" / LISTING
    tree, candidates = open_listed(
        source, photo_root(source), listing, read_classes(classes), share=ValShare(val_share, seed)
    )
    excluded = read_excluded(Path(exclude_ids)) if exclude_ids else set()
    identity = [resolved, source, classes, val_share, seed, sorted(excluded)]
    with workspace("in9l", settings=identity, inputs={"listing": listing}, outs=out) as work:
        manifest = write_in9l(
            tree,
            candidates,
            work,
            settings=In9LSettings.model_validate(resolved),
            excluded=excluded,
            workers=runtime()["workers"],
        )
    print(f"in9l: {manifest['candidates']} train photos, left out: {manifest['rejected'] or 'none'}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.in9l", description=__doc__))
