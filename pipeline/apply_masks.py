"""Put shared masks beside your own ImageNet, where ingest finds them and `segment.method: given` takes them.

python -m pipeline.apply_masks masks.jsonl /data/imagenet      # /data/imagenet/masks/{train/<wnid>,val}/*.png
"""

import argparse
from pathlib import Path

from bgdata.exports.masks import apply_masks
from pipeline._stage import run_stage


def main(arguments: argparse.Namespace) -> None:
    """Write the masks of a file."""
    written, lacking = apply_masks(arguments.file, arguments.imagenet)
    print(f"{written} masks written beside {arguments.imagenet}; {lacking} are of photos that it does not have")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.apply_masks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="masks.jsonl, as python -m pipeline.export --format masks wrote it")
    parser.add_argument("imagenet", type=Path, help="the folder that holds ILSVRC/, or train/ and val/")
    return parser


if __name__ == "__main__":
    run_stage(main, _parser())
