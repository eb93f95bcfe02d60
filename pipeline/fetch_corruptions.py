"""Download ImageNet-C as published (five archives, one after the other; about 62 GB) and say how to judge on it.

A plain command and no DVC stage: the pipeline corrupts its own photos and needs no published ones.
"""

import argparse
from pathlib import Path

from bgdata.corrupt.published import find_cells
from bgdata.fetch.imagenet_c import GROUPS, SOURCE, fetch_imagenet_c
from pipeline._arguments import check_folder
from pipeline._stage import DOWNLOADS, run_stage


def main(arguments: argparse.Namespace) -> None:
    """Fetch and unpack the archives, and print which corruptions are there."""
    check_folder(arguments.out, argument="--out")
    counts = fetch_imagenet_c(arguments.out, groups=arguments.only, mirror=arguments.mirror)
    print(", ".join(f"{group} {count:,}" if count else f"{group} was there" for group, count in counts.items()))
    severities: dict[str, list[str]] = {}
    for corruption in find_cells(arguments.out):
        severities.setdefault(corruption.name, []).append(str(corruption.severity))
    for name, found in severities.items():
        print(f"  {name}: severities {', '.join(found)}")
    print("judge a model on it, as it is:")
    print(f"  python -m pipeline.corruptions --corrupted {arguments.out} --arch resnet50 --out corruptions.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.fetch_corruptions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP", help=", ".join(GROUPS))
    home = DOWNLOADS / SOURCE
    parser.add_argument("--out", type=Path, default=home, help=f"folder for the photos; default {home}")
    parser.add_argument("--mirror", help="base URL, or file:///folder/, that holds the archives instead of Zenodo")
    run_stage(main, parser)
