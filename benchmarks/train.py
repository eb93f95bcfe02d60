"""Images a second of dynamic replacement, of plain training and of the published way; in one run, on drawn photos.

    python -m benchmarks.train

The published way makes each sample anew: it opens the photo, the photo's `only_fg` image and a random background file,
finds the mask as the filled contours of what is not black, pastes in NumPy, and crops, flips and colours with
torchvision's transforms on PIL. Ours reads the arrays that a training decodes once, and treats a batch at once. Crop,
flip, colours, probability, images and network are the same. All three are timed in turn, several times, in CPU seconds
(of user and system, so that other work on the machine counts for none of them); the median counts.

Set GOMP_SPINCOUNT=20000, as the stages do.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bgdata.compose.render import render_sets
from bgdata.compose.settings import RenderSettings
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import GIVEN_MASKS, PHOTOS, ingest_photos
from bgdata.ingest.settings import IngestSettings
from bgdata.shards import ImageSet, Row
from bgdata.synthetic.tree import write_ilsvrc_tree
from models.classifiers.classifier import build_classifier
from models.devices import autocast, resolve_precision
from models.training.batches import epoch_batches, full_batches, generator_of
from models.training.optimizers import build_optimizer
from models.training.parts import Batch, Drawn
from models.training.recipes import Recipe, open_recipe
from models.training.run import Stored
from models.training.settings import BackgroundSettings, LoopSettings, RecipeSettings

CPU = torch.device("cpu")
P = 0.75
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
    "placement": {"position": "keep", "size": [1.0, 1.0]},
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
Batches = Callable[[], Iterator[Batch | Drawn]]


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    with TemporaryDirectory() as scratch:
        sets = draw_sets(Path(scratch), arguments.per_class)
        for size in (64, 224):
            _print_speeds(sets, Path(scratch), size=size, rounds=arguments.rounds, steps=arguments.steps)


def draw_sets(scratch: Path, per_class: int, *, val_per_class: int = 2, workers: int = 2) -> Path:
    """Drawn photos, rendered as the pipeline does; returns the folder of the sets."""
    counts = {"train_per_class": per_class, "val_per_class": val_per_class}
    write_ilsvrc_tree(scratch / "tree", **counts, size=(256, 256), bias=0.8, difficulty=0.1, seed=0, workers=workers)
    tree, work = find_tree(scratch / "tree"), scratch / "work"
    work.mkdir()
    settings = IngestSettings.model_validate(INGEST)
    ingest_photos(tree, list_candidates(tree), work, settings=settings, seed=0, workers=workers)
    looks = RenderSettings.model_validate(RENDER)
    render_sets(work / PHOTOS, work / GIVEN_MASKS, settings=looks, seed=0, work=scratch / "sets", workers=workers)
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
    at_rest: dict[str, Batches] = {
        "plain training": lambda: _endless(lambda epoch: _drawn(plain, settings, epoch)),
        "dynamic replacement": lambda: _endless(lambda epoch: _drawn(dynamic, settings, epoch)),
    }
    step = _stepper(plain, settings)
    trained = min(steps, max(1, steps * 64 // size))  # the larger step takes longer
    count = settings.batch_size
    tables = {
        "drawn and swapped": _seconds(at_rest, lambda _: None, rounds=rounds, steps=steps, size=count),
        "data alone": _seconds(ways, lambda _: None, rounds=rounds, steps=steps, size=count),
        "with the network's step": _seconds(ways, step, rounds=rounds, steps=trained, size=count),
    }
    precision = str(resolve_precision("auto", CPU)).removeprefix("torch.")
    for title, found in tables.items():
        print(f"\n{settings.arch}, {size} px, batches of {count}, {precision}: {title}\n")
        print("| what | images / CPU s | images / s | dynamic is |\n|---|---|---|---|")
        for name, (cpu, wall) in found.items():
            print(f"| {name} | {1 / cpu:.0f} | {1 / wall:.0f} | {cpu / found['dynamic replacement'][0]:.2f}x |")


def _open(sets: Path, dynamic: bool, settings: LoopSettings, scratch: Path) -> Recipe:
    background = BackgroundSettings(by="any_class", p=P) if dynamic else None
    recipe = RecipeSettings(start="init", data="original", background=background)
    return open_recipe(recipe, settings, Stored(sets, scratch / "pixels", 2), seed=0)


def _batches(recipe: Recipe, settings: LoopSettings, epoch: int) -> Iterator[Batch]:
    return (batch for *_, batch in epoch_batches(recipe, settings, epoch, 0, device=CPU))


def _drawn(recipe: Recipe, settings: LoopSettings, epoch: int) -> Iterator[Drawn]:
    """The batches at rest: what is left to the CPU where a GPU crops, flips, colours and steps."""
    generator = generator_of(0, f"epoch {epoch}", "benchmark")
    groups = full_batches(recipe.order(generator), settings.batch_size)
    return (recipe.treat(recipe.data.draw(indices), generator) for indices in groups)


def _endless(epoch: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    for number in itertools.count():
        yield from epoch(number)


def _stepper(recipe: Recipe, settings: LoopSettings) -> Callable[[Batch], None]:
    classes = recipe.data.targets.shape[1]
    classifier = build_classifier(settings.arch, input_size=settings.size, classes=classes).train()
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
    ways: dict[str, Batches], step: Callable[[Any], None], *, rounds: int, steps: int, size: int
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
        with ImageSet(sets / "original", rows=()) as images:
            self._classes = len(images.classes)
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
            yield Batch(images, torch.eye(self._classes)[labels], labels, labels)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=int, default=40, help="photos that are drawn of each class")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed, besides one to warm up")
    parser.add_argument("--steps", type=int, default=4, help="batches of 64 in each round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    main()
