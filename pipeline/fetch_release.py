"""Download the official ImageNet-9 test release (about 280 MB) and say how to judge a model on it.

A plain command and no DVC stage: the pipeline makes its own sets and needs no release.
"""

import argparse
from pathlib import Path

from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.errors import InputError
from bgdata.fetch.download import fetch_file
from bgdata.fetch.sources import SOURCES
from bgdata.sources import open_sources
from models.weights.files import file_sha256
from pipeline._arguments import check_folder
from pipeline._stage import DOWNLOADS, run_stage


def main(arguments: argparse.Namespace) -> None:
    """Fetch the archive, read it once from end to end (its publisher names no hash), and print what is in it."""
    check_folder(arguments.out, argument="--out")
    (remote,) = SOURCES["in9_release"]
    archive = fetch_file(remote, arguments.out, mirror=arguments.mirror)
    try:
        counts = {name: len(source.rows) for name, source in open_sources(archive, (*VARIANTS, FG_MASK)).items()}
    except InputError:
        archive.replace(archive.with_name(f"{archive.name}.wrong"))  # or the next run would take it for fetched
        raise
    print(f"{archive}: SHA-256 {file_sha256(archive)}")
    print(", ".join(f"{name} {count:,}" for name, count in counts.items()), "images (the official release: 4,050 each)")
    print("judge a model on it, as it is (no need to unpack):")
    for judge in ("evaluate", "challenge"):
        print(f"  python -m pipeline.{judge} --data {archive} --arch resnet50 --out {judge}.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.fetch_release",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=DOWNLOADS, help=f"folder for the archive; default {DOWNLOADS}")
    parser.add_argument("--mirror", help="base URL, or file:///folder/, that holds the archive instead of GitHub")
    run_stage(main, parser)
