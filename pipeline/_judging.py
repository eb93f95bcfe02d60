"""What the judges' plain commands share: which model, which data, how to run, and where the result goes."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bgdata.class_files import read_class_csv
from bgdata.classes import ClassList, check_same
from bgdata.compose.background_classes import class_list_of
from bgdata.compose.names import VARIANTS
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.shards import write_text_whole
from bgdata.sources import open_sources, passed_over
from models.classifiers.judged import Judged
from models.classifiers.loading import ModelSource, load_judged
from models.devices import resolve_device
from pipeline._arguments import check_file, judged_set, number, positive, positive_number

# Images in a forward pass: a CPU's caches hold few, a GPU wants many.
_BATCH = {"cpu": 16, "cuda": 256}


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the plain command; `--checkpoint`, `--arch`, `--data-path`, `--in9` are the official ones."""
    parser.add_argument(
        "recipe",
        nargs="?",
        help="one that was trained; default without --data: all, as DVC does",
    )
    add_any_model_arguments(parser)


def add_any_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of commands that know no recipes."""
    data = parser.add_argument_group("any model on any data, without DVC")
    data.add_argument(
        "--data", "--data-path", type=Path, help="the official release (folder or archive), or a folder of our sets"
    )
    data.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="the classes that data and model are of (CSV: class,wnid); default: those that the data name, of the "
        "official release ImageNet-9",
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
    model.add_argument(
        "--in9",
        action="store_true",
        help="the model has as many outputs as the data have classes (ImageNet-9: nine), not ImageNet's thousand",
    )
    model.add_argument("--mean", type=number, nargs=3, metavar=("R", "G", "B"), help="default: the model's own")
    model.add_argument("--std", type=positive_number, nargs=3, metavar=("R", "G", "B"))
    model.add_argument(
        "--size", type=positive, help="side that images are resized to, pixels; default: the model's own"
    )
    run = parser.add_argument_group("how to run")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    run.add_argument("--batch", type=positive, help="images in a forward pass")
    run.add_argument("--workers", type=positive, default=os.cpu_count() or 1, help="threads that decode")
    run.add_argument("--out", type=Path, help="write the result here, as JSON")


def add_variants_argument(parser: argparse.ArgumentParser) -> None:
    """Which variants are judged; `--eval-dataset` is the official evaluator's."""
    parser.add_argument(
        "--variants",
        "--eval-dataset",
        nargs="+",
        default=list(VARIANTS),
        type=judged_set,
        metavar="VARIANT",
        help=f"of {', '.join(VARIANTS)} (default: all), and of ours also those of further sources and correlations "
        "(only_bg_f, mixed_rand_f, mixed_correlated_c95 ...)",
    )


def check_door(arguments: argparse.Namespace) -> None:
    """One of the two forms was meant, and the plain one's result can be written.

    Raises InputError where a mixture was given, or the result has no place.
    """
    if getattr(arguments, "recipe", None) is not None and arguments.data is not None:
        raise InputError("give either a recipe (none: all), or --data with a model (any model, without DVC), not both")
    if arguments.data is not None:
        check_file(arguments.out, argument="--out")
        return
    for name in ("checkpoint", "weights", "entry", "classes", "out"):
        if getattr(arguments, name, None) is not None:
            raise InputError(f"--{name} says nothing of recipes: give it with --data, or leave it out")


def open_data(
    arguments: argparse.Namespace, names: Iterable[str], *, optional: Iterable[str] = ()
) -> dict[str, ImageSource]:
    """The sets of `--data` that are asked for, and those of `optional` that are there, with images of `--split`."""
    return open_sources(arguments.data, names, split=arguments.split, optional=optional)


def data_classes(arguments: argparse.Namespace, sources: Mapping[str, ImageSource]) -> ClassList:
    """The list of classes of the data.

    Raises InputError where two sets have different lists, or another than that of `--classes`.
    """
    said = {} if arguments.classes is None else {f"--classes {arguments.classes}": read_class_csv(arguments.classes)}
    return check_same(said | {str(source.folder): class_list_of(source) for source in sources.values()})


def read_model(
    arguments: argparse.Namespace, classes: ClassList, *, nine_only: bool = False
) -> tuple[Judged, dict[str, Any]]:
    """The model of the command line, judged by a list (`nine_only`: choosing among its classes), and its record for
    the result file.
    """
    model, record = load_judged(model_source(arguments, classes))
    return model.among_nine() if nine_only else model, record


def model_source(arguments: argparse.Namespace, classes: ClassList) -> ModelSource:
    """The model that the command line names, to be judged by a list of classes."""
    sys.path.insert(0, str(Path.cwd()))  # --entry names a module beside the user, as `python -m` does
    return ModelSource(
        class_list=classes,
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


def birth(arguments: argparse.Namespace, model: dict[str, Any], sources: Mapping[str, ImageSource]) -> dict[str, Any]:
    """Where a result came from: the model, the data (and, where there are any, files in it that are no images), and
    the command.
    """
    left_out = passed_over(sources, arguments.split)
    return {
        "model": model,
        "data": str(arguments.data),
        "split": arguments.split,
        "command": shlex.join(["python", "-m", *_module_of(sys.argv)]),
        **({"passed_over": left_out} if left_out else {}),
    }


def write_result(out: Path | None, score: Mapping[str, Any]) -> None:
    """Write a result file whole, where one was asked for."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(out, json.dumps(score, indent=1) + "\n")


def _module_of(argv: Sequence[str]) -> list[str]:
    return [f"pipeline.{Path(argv[0]).stem}", *argv[1:]]
