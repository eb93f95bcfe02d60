"""What both judges' plain commands share: which model, which data, how to run, and what is printed."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bgdata.errors import InputError
from bgdata.shards import write_text_whole
from models.classifiers.judged import Judged
from models.classifiers.loading import ModelSource, load_judged
from models.devices import resolve_device

# Images in a forward pass: a CPU's caches hold few, a GPU wants many.
_BATCH = {"cpu": 16, "cuda": 256}


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the plain command; `--checkpoint`, `--arch`, `--data-path`, `--in9` are the official ones."""
    parser.add_argument("recipe", nargs="?", help="a recipe that the train stage has trained (the DVC stage's form)")
    add_any_model_arguments(parser)


def add_any_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of commands that know no recipes."""
    data = parser.add_argument_group("any model on any data, without DVC")
    data.add_argument(
        "--data", "--data-path", type=Path, help="the official release (folder or .tar.gz), or a folder of our sets"
    )
    data.add_argument("--split", default="val", choices=("train", "val"))
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--checkpoint",
        type=Path,
        help="weights for --arch (torch.save, safetensors, MadryLab's, ours), TorchScript, or a torch.export program",
    )
    model.add_argument("--arch", default="resnet50", help="torchvision's or timm's name (timm:NAME); default resnet50")
    model.add_argument("--weights", help="published weights of --arch by name (IMAGENET1K_V1, ...); default: its best")
    model.add_argument("--key", help="of several states in --checkpoint, the one under this key (state_dict_ema, ...)")
    model.add_argument("--prefix", help="... whose names begin with this (student., module.backbone., ...)")
    model.add_argument("--entry", metavar="MODULE:FUNCTION", help="your own Python function that returns the network")
    model.add_argument("--in9", action="store_true", help="the model has nine outputs, not ImageNet's thousand")
    model.add_argument("--mean", type=float, nargs=3, metavar=("R", "G", "B"), help="default: the model's own")
    model.add_argument("--std", type=float, nargs=3, metavar=("R", "G", "B"))
    model.add_argument("--size", type=int, help="side that images are resized to, pixels; default: the model's own")
    run = parser.add_argument_group("how to run")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    run.add_argument("--batch", type=int, help="images in a forward pass")
    run.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode")
    run.add_argument("--out", type=Path, help="write the result here, as JSON")


def check_door(arguments: argparse.Namespace) -> None:
    """One of the two forms was meant.

    Raises InputError where neither or both were given.
    """
    if (arguments.recipe is None) == (arguments.data is None):
        raise InputError("give either a recipe (the DVC stage) or --data with a model (any model, without DVC)")


def read_model(arguments: argparse.Namespace) -> tuple[Judged, dict[str, Any]]:
    """The model of the command line, and its record for the result file."""
    return load_judged(model_source(arguments))


def model_source(arguments: argparse.Namespace) -> ModelSource:
    """The model that the command line names."""
    sys.path.insert(0, str(Path.cwd()))  # --entry names a module beside the user, as `python -m` does
    return ModelSource(
        checkpoint=arguments.checkpoint,
        arch=arguments.arch,
        weights=arguments.weights,
        entry=arguments.entry,
        in9=arguments.in9,
        mean=arguments.mean,
        std=arguments.std,
        size=arguments.size,
        key=arguments.key,
        prefix=arguments.prefix,
    )


def running(arguments: argparse.Namespace) -> dict[str, Any]:
    """Device and batch, as the judges take them."""
    device = resolve_device(arguments.device)
    return {"device": device, "eval_batch": arguments.batch or _BATCH[device.type]}


def birth(arguments: argparse.Namespace, model: dict[str, Any]) -> dict[str, Any]:
    """Where a result came from: the model, the data and the command."""
    return {
        "model": model,
        "data": str(arguments.data),
        "split": arguments.split,
        "command": shlex.join(["python", "-m", *_module_of(sys.argv)]),
    }


def write_result(out: Path | None, score: dict[str, Any]) -> None:
    """Write a result file whole, where one was asked for."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(out, json.dumps(score, indent=1) + "\n")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header in aligned columns, the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))


def print_in9(score: dict[str, Any]) -> None:
    """Print a score of the variants."""
    nine = ["of the nine"] if any("among_nine" in variant for variant in score["variants"].values()) else []
    header = ["variant", "accuracy", "95 % interval", "correct", "worst class", "ECE", *nine]
    rows = [
        [
            name,
            percent(variant["accuracy"]),
            interval(variant["interval"]),
            f"{variant['correct']} / {variant['count']}",
            f"{variant['worst_class']['class']} {percent(variant['worst_class']['accuracy'])}",
            f"{variant['ece']:.3f}",
            *([percent(variant["among_nine"]["accuracy"])] if nine else []),
        ]
        for name, variant in score["variants"].items()
    ]
    print_table(header, rows)
    if score["bg_gap"] is not None:
        paired = score["bg_gap_paired"]
        print(f"\nBG-gap: {100 * score['bg_gap']:.1f} points (95 % interval {interval(paired['interval'])})")


def percent(rate: float) -> str:
    """A rate as people read it."""
    return f"{100 * rate:.1f} %"


def interval(bounds: Sequence[float]) -> str:
    """The bounds of an interval of rates as people read them."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def _module_of(argv: Sequence[str]) -> list[str]:
    return [f"pipeline.{Path(argv[0]).stem}", *argv[1:]]
