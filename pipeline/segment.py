"""Find the foreground of each photo, clean and judge its mask, and write the masks as a set."""

import argparse
from pathlib import Path

from bgdata.shards import MANIFEST
from models.segmenters.factory import Means
from models.segmenters.run import MASKS, segment_photos
from models.segmenters.settings import SegmentJob
from pipeline._stage import SETS, WEIGHTS, read_settings, run_stage, runtime
from pipeline._workspace import weights_manifests, workspace


def main(_: argparse.Namespace) -> None:
    """Write data/in9/masks from data/in9/photos and data/in9/given_masks."""
    resolved = read_settings("segment")
    photos, given = SETS / "photos", SETS / "given_masks"
    inputs = {"photos": photos / MANIFEST, "given_masks": given / MANIFEST, **weights_manifests("segmenters")}
    choosing = (resolved.get("choose") or {}).get("classifier")
    for name, section in {"unet": resolved.get("unet"), "choose": choosing}.items():
        checkpoint = (section or {}).get("checkpoint")
        if checkpoint and Path(checkpoint).is_file():
            inputs[name] = Path(checkpoint)
    with workspace("segment", settings=resolved, inputs=inputs, outs={MASKS: SETS / MASKS}) as work:
        manifest = segment_photos(
            photos,
            given,
            work,
            settings=SegmentJob.model_validate({key: value for key, value in resolved.items() if key != "seed"}),
            seed=resolved["seed"],
            workers=runtime()["workers"],
            means=Means(weights=WEIGHTS / "segmenters", device=runtime()["device"], batch=runtime()["segment_batch"]),
        )
    print(f"segment: {manifest['photos']} photos by {manifest['method']}, rejected: {manifest['rejected'] or 'none'}")
    if chosen := manifest.get("chosen"):
        others, several = chosen["other_than_by_score"], chosen["photos_with_several"]
        print(f"chosen by leak: another mask than the method's own for {others} of {several} photos with several")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.segment", description=__doc__))
