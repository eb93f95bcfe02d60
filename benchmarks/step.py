"""The step of a training on this machine: what speeds it up, and ResNet-50's at 224 pixels with its memory.

    python -m benchmarks.step

First one network in each memory format and precision, eager and compiled, in turn, several times: the median counts.
Then one step of ResNet-50 with as large a batch as the memory holds, up to the full size, and what the trainings on
ImageNet-9 and IN-9L would cost on a GPU, reckoned from the FLOPs and from the bytes that eager PyTorch moves.
"""

import argparse
import itertools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import torch
from torch import Tensor, nn

from benchmarks.reckoning import ARITHMETIC, GPUS, MEMORY, Work, counted
from models.classifiers.classifier import build_classifier
from models.devices import autocast

CPU = torch.device("cpu")
# Memory format, precision, compiled or not.
Way = tuple[str, torch.dtype, bool]
# (network, pixels, batch)
COMPARED = (("resnet10", 64, 64), ("resnet50", 224, 16))
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
PRECISIONS = (torch.float32, torch.bfloat16)
EPOCHS = 90
TRAININGS = {"IN-9": 45_405, "IN-9L": 180_000}  # photos
RESNET50_BATCHES = (256, 128, 64, 32)
PROBED = 64  # images of the step whose memory tells that of larger ones
CLASSES = 9  # outputs: of ImageNet-9


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    for arch, size, batch in COMPARED if "compare" in arguments.tables else ():
        _print_comparison(arch, size, batch, rounds=arguments.rounds)
    if "resnet50" in arguments.tables:
        _print_resnet50_steps(arguments.threads, arguments.memory)
        _print_projection()


def _print_comparison(arch: str, size: int, batch: int, *, rounds: int) -> None:
    images, targets = torch.rand(batch, 3, size, size), torch.arange(batch) % CLASSES
    steps: dict[Way, Callable[[], None]] = {}
    compiling: dict[Way, float] = {}
    for way in itertools.product(LAYOUTS, PRECISIONS, (False, True)):
        layout, precision, compiled = way
        network = build_classifier(arch, input_size=size, classes=CLASSES).network.train()
        network = network.to(memory_format=LAYOUTS[layout])
        shown = images.contiguous(memory_format=LAYOUTS[layout])
        steps[way] = _stepper(network, torch.compile(network) if compiled else network, shown, targets, precision)
        compiling[way] = _seconds(steps[way])
    taken = {way: statistics.median(times) for way, times in _in_turn(steps, rounds).items()}
    slowest = taken[("contiguous", torch.float32, False)]
    print(f"\n{arch}, {size} px, batches of {batch}, {torch.get_num_threads()} threads\n")
    print("| memory format | precision | | ms a step | is | first step, s |\n|---|---|---|---|---|---|")
    for (layout, precision, compiled), seconds in taken.items():
        name, how = str(precision).removeprefix("torch."), "compiled" if compiled else "eager"
        first = compiling[(layout, precision, compiled)]
        print(f"| {layout} | {name} | {how} | {1000 * seconds:.0f} | {slowest / seconds:.2f}x | {first:.1f} |")


def _stepper(
    network: nn.Module, called: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor, precision: torch.dtype
) -> Callable[[], None]:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        with autocast(CPU, precision):
            loss = nn.functional.cross_entropy(called(images).float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _in_turn(steps: dict[Way, Callable[[], None]], rounds: int) -> dict[Way, list[float]]:
    """Seconds of each step in each round; one round before them warms up."""
    taken: dict[Way, list[float]] = {way: [] for way in steps}
    for number, (way, step) in itertools.product(range(rounds + 1), steps.items()):
        seconds = _seconds(step)
        if number:
            taken[way].append(seconds)
    return taken


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _print_resnet50_steps(threads: int, memory: float) -> None:
    print(f"\nOne step of ResNet-50, 224 px, {threads} threads, at most {memory:g} GiB\n")
    print("| precision | batch | s | images / s | peak GiB |\n|---|---|---|---|---|")
    for precision in (torch.float32, torch.bfloat16):
        # The part that grows with the batch, and the part that does not.
        small, large = (_step_apart(count, precision, threads)[1] for count in (PROBED // 2, PROBED))
        each = (large - small) / (PROBED - PROBED // 2)
        count = next(size for size in RESNET50_BATCHES if large + (size - PROBED) * each < memory)
        seconds, peak = _step_apart(count, precision, threads)
        name = str(precision).removeprefix("torch.")
        print(f"| {name} | {count} | {seconds:.1f} | {count / seconds:.1f} | {peak:.1f} |")


def _step_apart(count: int, precision: torch.dtype, threads: int) -> tuple[float, float]:
    """Seconds and peak memory (GiB) of one step, in a process of its own."""
    # A Pool would wait for ever for a process that the system killed for its memory; this one raises.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_step_resnet50, count, precision, threads).result()
        except BrokenProcessPool:
            raise SystemExit(f"the step of {count} images was killed for its memory: give less --memory") from None


def _step_resnet50(count: int, precision: torch.dtype, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    classifier = build_classifier("resnet50", input_size=224, classes=CLASSES).train()
    images, targets = torch.rand(count, 3, 224, 224), torch.arange(count) % CLASSES
    seconds = _seconds(_stepper(classifier, classifier, images, targets, precision))
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _print_projection() -> None:
    work = _count_resnet50()
    print(
        f"\nResNet-50, 224 px, a step of an image: {work.flops / 1e9:.1f} GFLOP, {work.moved / 1e9:.2f} GB (bfloat16)"
    )
    print(
        f"{EPOCHS} epochs, not run: seconds an image = FLOP / ({ARITHMETIC} x peak) + bytes / ({MEMORY} x bandwidth)\n"
    )
    print("| GPU | images/s |" + "".join(f" {name}: hours | dollars |" for name in TRAININGS))
    print("|---|---|" + "---|---|" * len(TRAININGS))
    for name, gpu in GPUS.items():
        seconds = gpu.seconds(work)
        hours = [images * EPOCHS * seconds / 3600 for images in TRAININGS.values()]
        cells = "".join(f" {each:.1f} | {each * gpu.price:.0f} |" for each in hours)
        print(f"| {name} ({gpu.price:.2f} an hour) | {1 / seconds:.0f} |{cells}")


def _count_resnet50(count: int = 32) -> Work:
    """Of one image's forward and backward pass."""
    with torch.device("meta"):
        classifier = build_classifier("resnet50", input_size=224, classes=CLASSES).to(torch.bfloat16).train()
        images = torch.empty(count, 3, 224, 224, dtype=torch.bfloat16)
        with counted() as work:
            classifier.network(images).sum().backward()
    return Work(work[0].flops / count, work[0].moved / count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=["compare", "resnet50"], choices=("compare", "resnet50"))
    parser.add_argument("--rounds", type=int, default=5, help="how often each step is timed, besides one to warm up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", type=float, default=20.0, help="GiB that ResNet-50's step may take")
    return parser


if __name__ == "__main__":
    main()
