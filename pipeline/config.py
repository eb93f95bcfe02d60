"""Validate params.yaml and write the resolved settings of each stage and item into build/config/."""

import argparse
import json
from pathlib import Path

from bgdata.shards import write_text_whole
from pipeline._read_params import read_params
from pipeline._resolve_settings import resolve_settings
from pipeline._stage import CONFIG, run_stage


def main(_: argparse.Namespace) -> None:
    """Resolve params.yaml."""
    resolved = resolve_settings(read_params(Path("params.yaml")))
    CONFIG.mkdir(parents=True, exist_ok=True)
    for name, settings in resolved.items():
        write_text_whole(CONFIG / f"{name}.json", json.dumps(settings, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    run_stage(main, argparse.ArgumentParser(description=__doc__))
