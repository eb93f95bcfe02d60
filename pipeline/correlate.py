"""Write a set in which class and background go together as often as asked for: data/in9/mixed_correlated_<name>/."""

import argparse

from bgdata.compose.correlated import CorrelatedSet
from bgdata.compose.names import FG_MASK, background_set, correlated_set
from bgdata.compose.settings import CorrelatedSettings
from bgdata.shards import MANIFEST
from pipeline._stage import SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace


def main(arguments: argparse.Namespace) -> None:
    """Write one set."""
    settings = read_settings(f"correlate-{arguments.name}")
    correlated = CorrelatedSettings.model_validate(settings["correlated"])
    read = {name: SETS / name for name in ("original", FG_MASK, background_set(correlated.background_from))}
    originals, masks, backgrounds = read.values()
    with workspace(
        f"correlate-{arguments.name}",
        settings=settings,
        inputs={name: folder / MANIFEST for name, folder in read.items()},
        outs={"set": SETS / correlated_set(arguments.name)},
    ) as work:
        made = CorrelatedSet(
            originals=originals,
            masks=masks,
            backgrounds=backgrounds,
            settings=correlated,
            jpeg_quality=settings["jpeg_quality"],
            images_per_shard=settings["images_per_shard"],
            seed=settings["seed"],
        )
        made.write(work / "set", workers=runtime()["workers"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pipeline.correlate", description=__doc__)
    parser.add_argument("name", help="a name under `correlated` in params.yaml")
    run_stage(main, parser)
