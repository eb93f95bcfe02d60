"""Write a set as the folder tree of the official release, or check that every image of it reads.

python -m pipeline.export data/in9/mixed_rand release/     # release/mixed_rand/{train,val}/<class>/*.JPEG
python -m pipeline.export --check data/in9/mixed_rand
"""

import argparse
from pathlib import Path

from bgdata.errors import InputError
from bgdata.export import check_set, export_set
from pipeline._arguments import check_folder
from pipeline._stage import run_stage


def main(arguments: argparse.Namespace) -> None:
    """Export or check one set."""
    if arguments.check:
        print(f"{arguments.set}: all {check_set(arguments.set)} images read")
        return
    if arguments.folder is None:
        raise InputError(
            "a folder to export to is missing: python -m pipeline.export <set> <folder> (or --check <set>)"
        )
    check_folder(arguments.folder, argument="the folder to export to")
    count = export_set(arguments.set, arguments.folder)
    print(f"{count} images in {arguments.folder / arguments.set.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path, help="a set: a folder with shards, index.csv and manifest.json")
    parser.add_argument("folder", type=Path, nargs="?", help="where the tree goes; the set's name is added")
    parser.add_argument("--check", action="store_true", help="write nothing: read every shard, decode every image")
    return parser


if __name__ == "__main__":
    run_stage(main, _parser())
