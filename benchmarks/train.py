"""Images a second of dynamic replacement, of plain training and of the published way; in one run, on drawn photos.

    python -m benchmarks.train

The published way makes each sample anew: it opens the photo, the photo's `only_fg` image and a random background file,
finds the mask as the filled contours of what is not black, pastes in NumPy, and crops, flips and colours with
torchvision's transforms on PIL. Ours reads the arrays that a training decodes once, and treats a batch at once. Crop,
flip, colours, probability, images and network are the same. All three are timed in turn, several times, in CPU seconds
(of user and system, so that other work on the machine counts for none of them); the median counts.

Then one step of ResNet-50 at 224 pixels on this CPU with its memory, and what the trainings on ImageNet-9 and IN-9L
would cost on a GPU, reckoned from the FLOPs and from the bytes that eager PyTorch moves. Set OMP_WAIT_POLICY=PASSIVE
where cores are shared.
"""

import argparse
import itertools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.reckoning import ARITHMETIC, GPUS, MEMORY, Work, counted
from bgdata.compose.render import render_sets
from bgdata.compose.settings import RenderSettings
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import GIVEN_MASKS, PHOTOS, ingest_photos
from bgdata.ingest.settings import IngestSettings
from bgdata.labels import CLASS_COUNT
from bgdata.shards import ImageSet, Row
from bgdata.synthetic.tree import write_ilsvrc_tree
from models.classifiers import build_classifier
from models.devices import resolve_precision
from models.training.loop import autocast, epoch_batches
from models.training.optimizers import build_optimizer
from models.training.parts import Batch
from models.training.recipes import Recipe, open_recipe
from models.training.settings import BackgroundSettings, LoopSettings, RecipeSettings

CPU = torch.device("cpu")
P = 0.75
EPOCHS = 90
TRAININGS = {"IN-9": 45_405, "IN-9L": 180_000}  # photos
RESNET50_BATCHES = (256, 128, 64, 32)
PROBED = 64  # images of the step whose memory tells that of larger ones
NOTHING = {"train": None, "val": None}
INGEST = {
    "filters": {"require_box": True, "max_box_share": 0.9, "min_box_kept": 0.5},
    "per_class": NOTHING,
    "exclude_ids": None,
    "max_unreadable": 0.0,
    "photos_per_shard": 500,
}
RENDER = {
    "resize": 256,
    "size": 224,
    "jpeg_quality": 90,
    "edge": "hard",
    "feather": 1.5,
    "mixed_rand_from": "any_class",
    "per_class": NOTHING,
    "images_per_shard": 500,
}
SETTINGS = LoopSettings(
    arch="resnet10",
    size=224,
    epochs=1,
    batch_size=64,
    optimizer="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    warmup=0.0,
    label_smoothing=0.0,
    crop_scale=0.6,
    flip=True,
    jitter=0.2,
    precision="auto",
    compile=False,
)
Batches = Callable[[], Iterator[Batch]]


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    with TemporaryDirectory() as scratch:
        sets = _draw_sets(Path(scratch), arguments.per_class)
        for size in (64, 224):
            _print_speeds(sets, Path(scratch), size=size, rounds=arguments.rounds, steps=arguments.steps)
    _print_resnet50_steps(arguments.threads, arguments.memory)
    _print_projection()


def _draw_sets(scratch: Path, per_class: int) -> Path:
    counts = {"train_per_class": per_class, "val_per_class": 2}
    write_ilsvrc_tree(scratch / "tree", **counts, size=(256, 256), bias=0.8, difficulty=0.1, seed=0, workers=2)
    tree, work = find_tree(scratch / "tree"), scratch / "work"
    work.mkdir()
    settings = IngestSettings.model_validate(INGEST)
    ingest_photos(tree, list_candidates(tree), work, settings=settings, seed=0, workers=2)
    looks = RenderSettings.model_validate(RENDER)
    render_sets(work / PHOTOS, work / GIVEN_MASKS, settings=looks, seed=0, work=scratch / "sets", workers=2)
    return scratch / "sets"


def _print_speeds(sets: Path, scratch: Path, *, size: int, rounds: int, steps: int) -> None:
    settings = SETTINGS.model_copy(update={"size": size})
    plain, dynamic = (_open(sets, background, settings, scratch) for background in (False, True))
    published = Published(sets, scratch / "files", settings)
    ways: dict[str, Batches] = {
        "published way": lambda: _endless(lambda epoch: published.batches(epoch)),
        "plain training": lambda: _endless(lambda epoch: _batches(plain, settings, epoch)),
        "dynamic replacement": lambda: _endless(lambda epoch: _batches(dynamic, settings, epoch)),
    }
    step = _stepper(plain, settings)
    trained = min(steps, max(1, steps * 64 // size))  # the larger step takes longer
    tables = {
        "data alone": _seconds(ways, lambda _: None, rounds=rounds, steps=steps, size=settings.batch_size),
        "with the network's step": _seconds(ways, step, rounds=rounds, steps=trained, size=settings.batch_size),
    }
    precision = str(resolve_precision("auto", CPU)).removeprefix("torch.")
    for title, found in tables.items():
        print(f"\nresnet10, {size} px, batches of {settings.batch_size}, {precision}: {title}\n")
        print("| what | images / CPU s | images / s | dynamic is |\n|---|---|---|---|")
        for name, (cpu, wall) in found.items():
            print(f"| {name} | {1 / cpu:.0f} | {1 / wall:.0f} | {cpu / found['dynamic replacement'][0]:.2f}x |")


def _open(sets: Path, dynamic: bool, settings: LoopSettings, scratch: Path) -> Recipe:
    background = BackgroundSettings(by="any_class", p=P) if dynamic else None
    recipe = RecipeSettings(start="init", data="original", background=background)
    return open_recipe(recipe, sets, settings=settings, seed=0, folder=scratch / "pixels", workers=2)


def _batches(recipe: Recipe, settings: LoopSettings, epoch: int) -> Iterator[Batch]:
    return (batch for *_, batch in epoch_batches(recipe, settings, epoch, 0, device=CPU))


def _endless(epoch: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    for number in itertools.count():
        yield from epoch(number)


def _stepper(recipe: Recipe, settings: LoopSettings) -> Callable[[Batch], None]:
    classifier = build_classifier(settings.arch, input_size=settings.size).train()
    optimizer = build_optimizer(classifier, settings, backbone_lr=1.0)
    precision = resolve_precision("auto", CPU)

    def step(batch: Batch) -> None:
        with autocast(CPU, precision):
            loss = recipe.objective(classifier, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _seconds(
    ways: dict[str, Batches], step: Callable[[Batch], None], *, rounds: int, steps: int, size: int
) -> dict[str, tuple[float, float]]:
    """CPU seconds and seconds an image, by way: the medians."""
    streams = {name: make() for name, make in ways.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, stream in streams.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(steps):
                step(next(stream))
            taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    images = steps * size
    # The first round warms up.
    return {
        name: tuple(statistics.median(column) / images for column in zip(*pairs[1:], strict=True))
        for name, pairs in taken.items()
    }


class Published(Dataset):
    """Each sample from its files, as the scripts of the field make it."""

    def __init__(self, sets: Path, files: Path, settings: LoopSettings) -> None:
        self._rows = _unpack(sets, files)
        self._files = files
        self._batch = settings.batch_size
        self._rng = np.random.default_rng(0)
        change = settings.jitter
        self._transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(settings.size, scale=(settings.crop_scale, 1.0)),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(change, change, change),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        row = self._rows[index]
        image = np.asarray(self._read("original", row))
        if self._rng.random() < P:
            other = self._rows[int(self._rng.integers(len(self._rows)))]
            mask = _mask_by_contours(np.asarray(self._read("only_fg", row)))[..., None]
            image = np.asarray(self._read("only_bg_t", other)) * (1 - mask) + image * mask
        return self._transform(Image.fromarray(image)), row.label

    def _read(self, variant: str, row: Row) -> Image.Image:
        return Image.open(self._files / variant / f"{row.id}.JPEG").convert("RGB")

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch."""
        order = torch.Generator().manual_seed(epoch)
        for images, labels in DataLoader(self, self._batch, shuffle=True, drop_last=True, generator=order):
            yield Batch(images, torch.eye(CLASS_COUNT)[labels], labels, labels)


def _mask_by_contours(foreground: np.ndarray) -> np.ndarray:
    _, shown = cv2.threshold(cv2.cvtColor(foreground, cv2.COLOR_RGB2GRAY), 10, 255, cv2.THRESH_BINARY)
    contours, _ = cv2.findContours(shown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return cv2.drawContours(np.zeros_like(shown), contours, -1, 1, cv2.FILLED)


def _unpack(sets: Path, files: Path) -> list[Row]:
    for variant in ("original", "only_fg", "only_bg_t"):
        (files / variant).mkdir(parents=True, exist_ok=True)
        with ImageSet(sets / variant) as images:
            rows = images.split("train")
            for row in rows:
                (files / variant / f"{row.id}.JPEG").write_bytes(images.read(row))
    return rows


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
        return pool.submit(_step_resnet50, count, precision, threads).result()


def _step_resnet50(count: int, precision: torch.dtype, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    classifier = build_classifier("resnet50", input_size=224).train()
    optimizer = build_optimizer(classifier, SETTINGS, backbone_lr=1.0)
    images, labels = torch.rand(count, 3, 224, 224), torch.arange(count) % CLASS_COUNT
    start = time.perf_counter()
    with autocast(CPU, precision):
        loss = torch.nn.functional.cross_entropy(classifier(images).float(), labels)
    loss.backward()
    optimizer.step()
    seconds = time.perf_counter() - start
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
        classifier = build_classifier("resnet50", input_size=224).to(torch.bfloat16).train()
        images = torch.empty(count, 3, 224, 224, dtype=torch.bfloat16)
        with counted() as work:
            classifier.network(images).sum().backward()
    return Work(work[0].flops / count, work[0].moved / count)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=40, help="photos that are drawn of each class")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed, besides one to warm up")
    parser.add_argument("--steps", type=int, default=4, help="batches of 64 in each round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", type=float, default=20.0, help="GiB that ResNet-50's step may take")
    return parser


if __name__ == "__main__":
    main()
