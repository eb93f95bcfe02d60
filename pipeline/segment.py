"""Find the foreground of each photo, clean and judge its mask, and write the masks as a set."""

import argparse

from bgdata.shards import MANIFEST
from models.segmenters.run import MASKS, segment_photos
from models.segmenters.settings import SegmentJob
from pipeline._stage import SETS, read_settings, run_stage, runtime, workspace


def main(_: argparse.Namespace) -> None:
    """Write data/in9/masks from data/in9/photos and data/in9/given_masks."""
    resolved = read_settings("segment")
    photos, given = SETS / "photos", SETS / "given_masks"
    inputs = {"photos": photos / MANIFEST, "given_masks": given / MANIFEST}
    with workspace("segment", settings=resolved, inputs=inputs, outs={MASKS: SETS / MASKS}) as work:
        seed = resolved.pop("seed")
        settings = SegmentJob.model_validate(resolved)
        manifest = segment_photos(photos, given, work, settings=settings, seed=seed, workers=runtime()["workers"])
    print(f"segment: {manifest['photos']} photos by {manifest['method']}, rejected: {manifest['rejected'] or 'none'}")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(description=__doc__))
