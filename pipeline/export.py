"""Write a set as others read it, or check that every image of it reads.

python -m pipeline.export data/in9/mixed_rand release/               # release/mixed_rand/{train,val}/<class>/*.JPEG
python -m pipeline.export data/in9/mixed_rand coco/ --format coco    # coco/mixed_rand/{train,val}/{data/,labels.json}
python -m pipeline.export data/in9/{in9l,original,mixed_rand,only_fg,no_fg} backgrounds_challenge/ --format subpop
python -m pipeline.export data/in9/mixed_rand hf/ --format hf        # load_dataset("hf/mixed_rand")
python -m pipeline.export data/in9/masks shared/ --format masks      # shared/masks/masks.jsonl, without photos
python -m pipeline.export --check data/in9/mixed_rand
"""

import argparse
from pathlib import Path

from bgdata.errors import InputError
from bgdata.exports.check import check_set
from bgdata.exports.coco import export_coco
from bgdata.exports.huggingface import export_huggingface
from bgdata.exports.masks import export_masks
from bgdata.exports.subpop import export_subpop
from bgdata.exports.tree import export_tree
from pipeline._arguments import check_folder
from pipeline._stage import run_stage

_SUBPOP = "subpop"
_FORMATS = {"tree": export_tree, "coco": export_coco, "hf": export_huggingface, "masks": export_masks}


def main(arguments: argparse.Namespace) -> None:
    """Export or check sets."""
    if arguments.check:
        for source in arguments.paths:
            print(f"{source}: all {check_set(source)} images read")
        return
    *sources, folder = arguments.paths
    if not sources:
        raise InputError(
            "a folder to export to is missing: python -m pipeline.export <set> <folder> (or --check <set>)"
        )
    check_folder(folder, argument="the folder to export to")
    if arguments.format == _SUBPOP:
        print(f"{export_subpop(sources, folder)} images in {folder}")
        return
    for source in sources:
        count = _FORMATS[arguments.format](source, folder)
        print(f"{count} images in {folder / source.name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.export",
        usage="%(prog)s SET [SET ...] FOLDER [--format FORMAT] | --check SET [SET ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="SET [SET ...] FOLDER",
        help="sets (folders with shards, index.csv and manifest.json), and the folder to write into, which gets a "
        "folder for each of them",
    )
    parser.add_argument(
        "--format",
        choices=(*_FORMATS, _SUBPOP),
        default="tree",
        help="tree: the official release's folders (the default); coco: images and labels.json with the objects' masks "
        "and boxes, as FiftyOne reads it; subpop: one metadata.csv (split,filename,y,a) of all sets for SubpopBench, "
        "the first being trained on; hf: parquet, card and croissant.json for Hugging Face; masks: masks.jsonl, for "
        "python -m pipeline.apply_masks",
    )
    parser.add_argument("--check", action="store_true", help="write nothing: read every shard, decode every image")
    return parser


if __name__ == "__main__":
    run_stage(main, _parser())
