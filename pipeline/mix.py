"""Write a set of mixed images with soft labels (mixup or cutmix) from data/in9/original into data/in9/<method>/."""

import argparse

from bgdata.compose.mix import METHODS
from bgdata.compose.mixed_sets import MixedSet
from bgdata.compose.settings import MixSettings
from bgdata.shards import MANIFEST
from pipeline._stage import SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Mix one set."""
    method = arguments.method
    settings = read_settings(f"mix-{method}")
    originals = SETS / "original"
    inputs = {"original": originals / MANIFEST}
    with workspace(f"mix-{method}", settings=settings, inputs=inputs, outs={"set": SETS / method}) as work:
        mixed_set = MixedSet(
            originals=originals,
            method=method,
            settings=MixSettings.model_validate(settings["mix"]),
            jpeg_quality=settings["jpeg_quality"],
            images_per_shard=settings["images_per_shard"],
            seed=settings["seed"],
        )
        mixed_set.write(work / "set", workers=runtime()["workers"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.mix", description=__doc__)
    parser.add_argument("method", choices=sorted(METHODS))
    return parser


if __name__ == "__main__":
    run_stage(main, _parser())
