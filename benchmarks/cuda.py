"""ResNet-50 at 224 pixels on CUDA: the trainings' speed and memory, two whole trainings, and their judges.

    python -m benchmarks.cuda

On drawn photos. All of it is the code that the stages run, and its cuDNN is deterministic and without TF32, as theirs.
"""

import argparse
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from benchmarks.train import SETTINGS, P, draw_sets
from bgdata.labels import IN9
from bgdata.pixels import load_pixels
from bgdata.shards import ImageSet
from bgdata.sources import open_sources
from models.classifiers.classifier import Classifier, build_classifier
from models.classifiers.judged import judged_classifier
from models.devices import autocast, exact_arithmetic
from models.evaluation.accuracy import labels_of, predict_labels
from models.evaluation.challenge import SETS_READ, judge_foregrounds, open_challenge
from models.training.batches import epoch_batches
from models.training.loop import fit
from models.training.optimizers import build_optimizer
from models.training.parts import Batch
from models.training.recipes import Recipe, open_recipe
from models.training.run import Run, Stored
from models.training.settings import BackgroundSettings, LoopSettings, RecipeSettings

CPU = torch.device("cpu")
PRECISIONS = (torch.bfloat16, torch.float32)


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    device = torch.device(arguments.device)
    sizes = {"arch": arguments.arch, "size": arguments.size, "batch_size": arguments.batch}
    settings = SETTINGS.model_copy(update=sizes | {"epochs": arguments.epochs, "lr": arguments.lr, "warmup": 0.2})
    with TemporaryDirectory() as scratch:
        start = time.perf_counter()
        sets = draw_sets(
            Path(scratch), arguments.per_class, val_per_class=arguments.val_per_class, workers=arguments.workers
        )
        stored = Stored(sets, Path(scratch) / "pixels", arguments.workers)
        recipes = {
            name: open_recipe(
                RecipeSettings(start="init", data="original", background=background), settings, stored, seed=0
            )
            for name, background in (
                ("original", None),
                ("dynamic", BackgroundSettings(by="any_class", p=P)),
            )
        }
        print(f"{len(recipes['original'].data.pixels)} photos drawn in {time.perf_counter() - start:.0f} s", flush=True)
        _print_same_weights(recipes["dynamic"], settings, Path(scratch), device)
        _print_speeds(recipes, settings, device, steps=arguments.steps)
        trained = _print_trainings(recipes, settings, sets, Path(scratch), device)
        _print_judges(trained, sets, device, arguments)


def _print_same_weights(recipe: Recipe, settings: LoopSettings, scratch: Path, device: torch.device) -> None:
    """Whether two trainings of two epochs end in the same weights, bit by bit."""
    short = settings.model_copy(update={"epochs": 2})
    for arch in dict.fromkeys(("resnet10", settings.arch)):
        ends = []
        for number in range(2):
            folder = scratch / f"{arch}-{number}"
            folder.mkdir()
            classifier = build_classifier(arch, input_size=settings.size, classes=9)
            _fit(classifier, recipe, short, folder, device)
            ends.append([value.cpu() for value in classifier.state_dict().values()])
        same = all(torch.equal(one, other) for one, other in zip(*ends, strict=True))
        print(f"{arch}: two trainings end in {'the same weights' if same else 'DIFFERENT weights'}", flush=True)


def _print_speeds(recipes: dict[str, Recipe], settings: LoopSettings, device: torch.device, *, steps: int) -> None:
    print(f"\n{settings.arch}, {settings.size} px, batches of {settings.batch_size}, {steps} steps\n")
    print("| what | precision | images/s | ms a step | peak GiB |\n|---|---|---|---|---|")
    for precision in PRECISIONS:
        _print_row(
            "step alone", settings, precision, _shown(recipes["original"], settings, device), device, steps=steps
        )
        for name, recipe in recipes.items():
            _print_row(name, settings, precision, _endless(recipe, settings, device), device, steps=steps)
    shown = _shown(recipes["original"], settings, device)
    _print_row("step alone, compiled", settings, torch.bfloat16, shown, device, steps=steps, compiled=True)
    for name, recipe in recipes.items():
        batches = _endless(recipe, settings, device)
        seconds = _seconds(lambda batches=batches: next(batches), device, steps)
        print(f"| {name}: data alone | | {settings.batch_size / seconds:.0f} | {1000 * seconds:.1f} | |", flush=True)


def _print_row(
    what: str,
    settings: LoopSettings,
    precision: torch.dtype,
    batches: Iterator[Batch],
    device: torch.device,
    *,
    steps: int,
    compiled: bool = False,
) -> None:
    classifier = build_classifier(settings.arch, input_size=settings.size, classes=9).train().to(device)
    network = torch.compile(classifier) if compiled else classifier
    optimizer = build_optimizer(classifier, settings, backbone_lr=1.0)

    def step() -> None:
        batch = next(batches)
        with autocast(device, precision):
            loss = nn.functional.cross_entropy(network(batch.images).float(), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    _forget_peak(device)
    with exact_arithmetic():
        seconds = _seconds(step, device, steps)
    name = str(precision).removeprefix("torch.")
    print(
        f"| {what} | {name} | {settings.batch_size / seconds:.0f} | {1000 * seconds:.1f} | {_peak(device):.1f} |",
        flush=True,
    )


def _print_trainings(
    recipes: dict[str, Recipe], settings: LoopSettings, sets: Path, scratch: Path, device: torch.device
) -> dict[str, Classifier]:
    print(f"\nWhole trainings of {settings.epochs} epochs, bfloat16\n")
    print("| recipe | steps | s | images/s, all told | peak GiB | loss: first, last | original | mixed_rand |")
    print("|---|---|---|---|---|---|---|---|")
    trained = {}
    for name, recipe in recipes.items():
        classifier = build_classifier(settings.arch, input_size=settings.size, classes=9)
        folder = scratch / name
        folder.mkdir()
        _forget_peak(device)
        start = time.perf_counter()
        history = _fit(classifier, recipe, settings, folder, device)
        seconds = time.perf_counter() - start
        steps = len(recipe.data.pixels) // settings.batch_size * settings.epochs
        found = " | ".join(f"{_accuracy(classifier, sets, each, device):.3f}" for each in ("original", "mixed_rand"))
        losses = f"{history[0]['train_loss']:.2f}, {history[-1]['train_loss']:.2f}"
        print(
            f"| {name} | {steps} | {seconds:.1f} | {steps * settings.batch_size / seconds:.0f} | {_peak(device):.1f} "
            f"| {losses} | {found} |",
            flush=True,
        )
        trained[name] = classifier.eval()
    return trained


def _fit(classifier: Classifier, recipe: Recipe, settings: LoopSettings, folder: Path, device: torch.device) -> list:
    shown = recipe.data.pixels[: settings.batch_size], recipe.data.labels[: settings.batch_size]
    run = Run(0, device, torch.bfloat16, folder)
    return fit(classifier, recipe, settings, run, validation=shown, label=settings.arch)


def _accuracy(classifier: Classifier, sets: Path, name: str, device: torch.device) -> float:
    with ImageSet(sets / name) as images, exact_arithmetic():
        rows = images.split("val")
        pixels = load_pixels(images, rows, size=None, folder=None, workers=4, label=name)
        return float((predict_labels(classifier, pixels, device=device, batch=256) == labels_of(rows)).mean())


def _print_judges(
    trained: dict[str, Classifier], sets: Path, device: torch.device, arguments: argparse.Namespace
) -> None:
    data = open_challenge(open_sources(sets, SETS_READ), split="val", workers=4)[0]
    few = np.random.default_rng(0).permutation(len(data.labels))[: arguments.on_cpu]
    part = dataclasses.replace(
        data,
        **{name: getattr(data, name)[few] for name in ("foregrounds", "masks", "labels")},
        ids=tuple(data.ids[index] for index in few),
    )
    print(f"\nThe challenge: {len(data.labels)} foregrounds, {len(data.backgrounds)} backgrounds\n")
    print("| recipe | precision | every pair | forward passes | again in float32 | s | passes/s | verdicts |")
    print("|---|---|---|---|---|---|---|---|")
    for name, classifier in trained.items():
        model = judged_classifier(classifier, IN9).eval()
        expected = None
        for precision, full in itertools.product(reversed(PRECISIONS), (False, True)):
            start = time.perf_counter()
            verdicts = judge_foregrounds(
                model, data, device=device, eval_batch=arguments.eval_batch, precision=precision, full=full
            )
            seconds = time.perf_counter() - start
            expected = verdicts.vulnerable if expected is None else expected
            same = "the same" if (verdicts.vulnerable == expected).all() else "DIFFERENT"
            print(
                f"| {name} | {str(precision).removeprefix('torch.')} | {'yes' if full else 'no'} "
                f"| {verdicts.forward_passes} | {verdicts.decided} | {seconds:.1f} "
                f"| {verdicts.forward_passes / seconds:.0f} | {expected.sum()} fall, {same} |",
                flush=True,
            )
        if len(few):
            on_cpu = judge_foregrounds(model, part, device=CPU, eval_batch=16)
            agreed = int((on_cpu.vulnerable == expected[few]).sum())
            print(
                f"| {name} | on the CPU | | {on_cpu.forward_passes} | | | | {agreed} of {len(few)} the same |",
                flush=True,
            )


def _shown(recipe: Recipe, settings: LoopSettings, device: torch.device) -> Iterator[Batch]:
    """One batch again and again."""
    return itertools.repeat(next(_endless(recipe, settings, device)))


def _endless(recipe: Recipe, settings: LoopSettings, device: torch.device) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from (batch for *_, batch in epoch_batches(recipe, settings, epoch, 0, device=device))


def _seconds(step: Callable[[], object], device: torch.device, steps: int) -> float:
    """Seconds of a step; a tenth of them, before, warm up."""
    for _ in range(max(2, steps // 10)):
        step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    return (time.perf_counter() - start) / steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--arch", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--eval-batch", type=int, default=256, help="images in a forward pass of the judge")
    parser.add_argument("--steps", type=int, default=100, help="steps that are timed")
    parser.add_argument("--epochs", type=int, default=30, help="of the whole trainings")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--per-class", type=int, default=320, help="photos that are drawn of each class, to train on")
    parser.add_argument("--val-per-class", type=int, default=50)
    parser.add_argument("--on-cpu", type=int, default=20, help="foregrounds that the CPU judges too")
    parser.add_argument("--workers", type=int, default=16)
    return parser


if __name__ == "__main__":
    main()
