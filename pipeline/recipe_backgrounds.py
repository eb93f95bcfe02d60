"""Say which backgrounds each recipe takes, by the hash of their set. So only a recipe whose own backgrounds changed is
trained anew for them."""

import argparse
import hashlib
import json

from bgdata.compose.names import background_set
from bgdata.errors import InputError
from bgdata.shards import MANIFEST, write_text_whole
from pipeline._stage import RECIPE_BACKGROUNDS, SETS, read_settings, run_stage


def main(_: argparse.Namespace) -> None:
    """Write data/backgrounds/<recipe>.json of each; `set` is null where a recipe takes none."""
    RECIPE_BACKGROUNDS.mkdir(parents=True, exist_ok=True)
    for recipe, source in read_settings("recipe_backgrounds")["recipes"].items():
        record = {"set": None} if source is None else _record(background_set(source))
        write_text_whole(RECIPE_BACKGROUNDS / f"{recipe}.json", json.dumps(record, indent=1) + "\n")


def _record(name: str) -> dict[str, str]:
    manifest = SETS / name / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{manifest} is missing: run the stage that makes the set first (`dvc repro` does)")
    return {"set": name, "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(prog="python -m pipeline.recipe_backgrounds", description=__doc__))
