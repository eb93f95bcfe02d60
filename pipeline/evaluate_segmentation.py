"""Hold GrabCut from the boxes against the masks that came with the data, on a seeded sample of val photos."""

import argparse
import json

from bgdata.masks.settings import CleanSettings
from bgdata.shards import MANIFEST, ImageSet, write_text_whole
from models.evaluation.segmentation import evaluate_segmenter
from models.segmenters.grabcut import GrabCut
from models.segmenters.settings import GrabCutSettings
from pipeline._stage import SCORES, SETS, read_settings, run_stage, runtime, workspace


def main(_: argparse.Namespace) -> None:
    """Write scores/segmentation/photos.json."""
    settings = read_settings("evaluate_segmentation")
    photos, given = SETS / "photos", SETS / "given_masks"
    inputs = {"photos": photos / MANIFEST, "given_masks": given / MANIFEST}
    outs = {"photos.json": SCORES / "segmentation" / "photos.json"}
    with workspace("evaluate_segmentation", settings=settings, inputs=inputs, outs=outs) as work:
        segmenter = GrabCut(
            iterations=GrabCutSettings.model_validate(settings["grabcut"]).iterations, seed=settings["seed"]
        )
        with ImageSet(photos) as photo_set, ImageSet(given) as given_set:
            scores = evaluate_segmenter(
                segmenter,
                photo_set,
                given_set,
                count=settings["photos"],
                seed=settings["seed"],
                clean=CleanSettings.model_validate(settings["clean"]),
                workers=runtime()["workers"],
            )
        result = {"method": segmenter.name, "data": "photos/val", **scores, "seed": settings["seed"]}
        write_text_whole(work / "photos.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(description=__doc__))
