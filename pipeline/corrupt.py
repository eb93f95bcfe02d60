"""Write the corrupted sets of data/in9/original into data/corrupted, or what is needed to make them on the fly."""

import argparse

from bgdata.compose.names import FG_MASK
from bgdata.corrupt.sets import CorruptedSets
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.shards import MANIFEST
from pipeline._stage import CORRUPTED, SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(_: argparse.Namespace) -> None:
    """Write one set for each region, corruption and severity."""
    settings = read_settings("corrupt")
    originals, masks = SETS / "original", SETS / FG_MASK
    inputs = {"original": originals / MANIFEST, FG_MASK: masks / MANIFEST}
    with workspace("corrupt", settings=settings, inputs=inputs, outs={"corrupted": CORRUPTED}) as work:
        seed, images_per_shard = settings.pop("seed"), settings.pop("images_per_shard")
        corrupted_sets = CorruptedSets(
            originals=originals,
            masks=masks,
            settings=CorruptionSettings.model_validate(settings),
            seed=seed,
            images_per_shard=images_per_shard,
        )
        corrupted_sets.write(work / "corrupted", workers=runtime()["workers"])


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.corrupt", description=__doc__))
