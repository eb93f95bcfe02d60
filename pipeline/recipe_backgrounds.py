"""Say which backgrounds each recipe takes, by the hash of their set. So only a recipe whose own backgrounds changed is
trained anew for them."""

import argparse
import json

from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from pipeline._stage import BACKGROUND_SOURCES, RECIPE_BACKGROUNDS, read_settings, run_stage


def main(_: argparse.Namespace) -> None:
    """Write data/backgrounds/<recipe>.json of each: what its source says of itself; `set` is null where it has none."""
    RECIPE_BACKGROUNDS.mkdir(parents=True, exist_ok=True)
    for recipe, source in read_settings("recipe_backgrounds")["recipes"].items():
        text = json.dumps({"set": None}, indent=1) + "\n" if source is None else _said(source)
        write_text_whole(RECIPE_BACKGROUNDS / f"{recipe}.json", text)


def _said(source: str) -> str:
    path = BACKGROUND_SOURCES / f"{source}.json"
    if not path.is_file():
        raise InputError(f"{path} is missing: run the stage that makes the source first (`dvc repro` does)")
    return path.read_text()


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.recipe_backgrounds", description=__doc__))
