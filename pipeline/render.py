"""Render the eight variants of ImageNet-9 and the masks, one decode a photo, into data/in9/<variant>/."""

import argparse

from bgdata.compose.names import TILED
from bgdata.compose.render import SETS as RENDERED
from bgdata.compose.render import render_sets
from bgdata.compose.settings import RenderSettings
from bgdata.shards import MANIFEST
from pipeline._stage import BACKGROUND_SOURCES, SETS, read_settings, run_stage, runtime
from pipeline._workspace import workspace, write_source


def main(_: argparse.Namespace) -> None:
    """Render all sets from data/in9/photos and data/in9/masks."""
    settings = read_settings("render")
    photos, masks = SETS / "photos", SETS / "masks"
    inputs = {"photos": photos / MANIFEST, "masks": masks / MANIFEST}
    outs = {name: SETS / name for name in RENDERED} | {f"{TILED}.json": BACKGROUND_SOURCES / f"{TILED}.json"}
    with workspace("render", settings=settings, inputs=inputs, outs=outs) as work:
        seed = settings.pop("seed")
        render_sets(
            photos,
            masks,
            settings=RenderSettings.model_validate(settings),
            seed=seed,
            work=work,
            workers=runtime()["workers"],
        )
        write_source(work, TILED)


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.render", description=__doc__))
