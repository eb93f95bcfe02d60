"""Filter the annotated photos as the paper does, and write them (and the masks that came with them) as sets."""

import argparse
from pathlib import Path

from bgdata.ingest.candidates import LISTING
from bgdata.ingest.filters import read_excluded
from bgdata.ingest.folder import ValShare
from bgdata.ingest.photos import GIVEN_MASKS, PHOTOS, ingest_photos
from bgdata.ingest.settings import IngestSettings
from bgdata.ingest.sources import open_listed
from pipeline._stage import RAW, SETS, photo_root, read_classes, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write data/in9/photos and data/in9/given_masks."""
    resolved = read_settings("ingest")
    source, seed, classes = (resolved.pop(key) for key in ("source", "seed", "classes"))
    settings = IngestSettings.model_validate(resolved)
    listing = RAW / PHOTOS / LISTING
    tree, candidates = open_listed(
        source, photo_root(source), listing, read_classes(classes), share=ValShare(settings.val_share, seed)
    )
    excluded = read_excluded(Path(settings.exclude_ids)) if settings.exclude_ids else set()
    identity = [resolved, source, seed, classes, sorted(excluded)]
    outs = {name: SETS / name for name in (PHOTOS, GIVEN_MASKS)}
    with workspace("ingest", settings=identity, inputs={"listing": listing}, outs=outs) as work:
        manifest = ingest_photos(
            tree, candidates, work, settings=settings, excluded=excluded, seed=seed, workers=runtime()["workers"]
        )
    print(f"ingest: {manifest['candidates']} candidates, left out: {manifest['rejected'] or 'none'}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.ingest", description=__doc__))
