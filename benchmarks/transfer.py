"""Images a second of a training of the transfer, and of a bare loop over the same network and images; in one run.

    python -m benchmarks.transfer

The bare loop is what a person writes first: a dozen lines of torch and torchvision a task, without history, state or
seeds by step. Images lie decoded in memory for both. In the bare loop those of detection are tensors already, as their
targets are, and torchvision resizes; those of segmentation and classification are squeezed to the network's input as
they come. Half of all are mirrored. Random crops (of segmentation drawn anew where one class covers them) and weights
of classes are ours alone, and count against us. Networks, batches and optimizers are the demo's (params.yaml,
profiles.demo.transfer), on resnet8 with drawn weights; images are drawn scenes, as the demo's. Each time both build
their network anew. They are timed in turn, several times, in CPU seconds (so that other work on the machine counts for
little) and by the clock; medians count, of ratios too.

Set GOMP_SPINCOUNT=20000, as the stages do.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
from ruamel.yaml import YAML
from torch import Tensor, nn

from bgdata.synthetic.layouts import write_scenes
from bgdata.transfer_sets.base import VOID, LabelledImage, TaskSet
from bgdata.transfer_sets.opening import open_task_set
from bgdata.transfer_sets.settings import TransferSetSettings
from models.transfer.backbones import FeatureNetwork
from models.transfer.checkpoints import open_task
from models.transfer.loading import load_backbone, load_pooled
from models.transfer.modes import MODES, Mode
from models.transfer.presets import Preset, build_optimizer, find_preset
from models.transfer.settings import (
    BackboneSettings,
    ClassificationTask,
    DetectionTask,
    SegmentationTask,
    TaskSettings,
    TrainSettings,
)
from models.transfer.tasks import Task
from models.transfer.train import TransferRun, train_transfer

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
SETTINGS = {"detection": DetectionTask, "segmentation": SegmentationTask, "classification": ClassificationTask}
MEASURED: tuple[Mode, ...] = ("fixed_feature", "full_network")
COLUMNS = "| task | mode | batch | bare loop, images/s | ours, images/s | ours is | in CPU s |"
# The loss of the batch whose number is given.
Losses = Callable[[nn.Module, Sequence[int]], Tensor]


class Decoded:
    """A set whose images are in memory before anything is timed."""

    def __init__(self, data: TaskSet) -> None:
        self.name, self.task, self.split, self.categories = data.name, data.task, data.split, data.categories
        self.ids, self.digest = data.ids, data.digest
        self.images = {image_id: data.read(image_id) for image_id in data.ids}

    def read(self, image_id: str) -> LabelledImage:
        """See `TaskSet`."""
        return self.images[image_id]


@dataclass(frozen=True)
class Measured:
    """Seconds of a training, by the CPU and by the clock."""

    cpu: float
    wall: float


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    params = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    scenes = TransferSetSettings.model_validate(params["transfer"]["sets"]["scenes"])
    assert scenes.scenes is not None, "the demo draws its scenes"
    drawn = scenes.scenes.model_dump() | {"train": arguments.images, "val": 10}
    print(f"{arguments.images} scenes, {arguments.rounds} rounds of {arguments.steps} steps\n")
    print(f"{COLUMNS}\n|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as scratch:
        write_scenes(Path(scratch) / "scenes", **drawn, seed=0)
        for name in arguments.tasks:
            settings = SETTINGS[name].model_validate(params["profiles"]["demo"]["transfer"][name])
            data = Decoded(open_task_set(name, scenes, root=Path(scratch) / "scenes", split="train"))
            for mode in MEASURED:
                print(_row(name, mode, settings, data, arguments), flush=True)


def _row(name: str, mode: Mode, settings: TaskSettings, data: Decoded, arguments: argparse.Namespace) -> str:
    network: Any = settings.model_dump()["network"]
    task = open_task(name, network)
    schedule = settings.schedule(mode).model_copy(update={"steps": arguments.steps, "epochs": None})
    own = {key: value for key in ("optimizer", "lr") if (value := getattr(schedule, key)) is not None}
    preset = replace(find_preset(data.task), **own)
    batch = schedule.batch or preset.batch
    bare = BARE[name]([*data.images.values()], network)
    taken: dict[str, list[Measured]] = {"bare": [], "ours": []}
    for _ in range(arguments.rounds + 1):
        plain, transferred = _backbone(name, network), _backbone(name, network)
        taken["bare"].append(
            _timed(partial(_train_bare, task, plain, mode, data, preset, batch, arguments.steps, bare))
        )
        taken["ours"].append(_timed(partial(_train, task, transferred, data, schedule)))
    # The first round warms up.
    pairs = [*zip(taken["bare"], taken["ours"], strict=True)][1:]
    theirs, ours = (statistics.median(pair[which].wall for pair in pairs) for which in (0, 1))
    ratio = statistics.median(pair[0].wall / pair[1].wall for pair in pairs)
    of_cpu = statistics.median(pair[0].cpu / pair[1].cpu for pair in pairs)
    images = batch * arguments.steps
    return f"| {name} | {mode} | {batch} | {images / theirs:.0f} | {images / ours:.0f} | {ratio:.2f}x | {of_cpu:.2f}x |"


def _backbone(task: str, network: dict[str, Any]) -> FeatureNetwork:
    settings = BackboneSettings(arch="resnet8", weights=None)
    if task == "classification":
        return load_pooled(settings, runs=Path("none"), size=network["size"])[0]
    return load_backbone(settings, runs=Path("none"))[0]


def _timed(train: Callable[[], object]) -> Measured:
    cpu, wall = time.process_time(), time.perf_counter()
    train()
    return Measured(time.process_time() - cpu, time.perf_counter() - wall)


def _train(task: Task, backbone: FeatureNetwork, data: Decoded, schedule: TrainSettings) -> None:
    with TemporaryDirectory() as folder:
        run = TransferRun(0, CPU, Path(folder), workers=2)
        train_transfer(task, backbone, data, find_preset(data.task), schedule, run)


def _train_bare(
    task: Task,
    backbone: FeatureNetwork,
    mode: Mode,
    data: Decoded,
    preset: Preset,
    batch: int,
    steps: int,
    losses: Losses,
) -> None:
    network = task.build(MODES[mode](backbone), len(data.categories)).train()
    optimizer = build_optimizer(network, preset)
    for places in _batches(len(data.ids), batch, steps):
        loss = losses(network, places)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _batches(images: int, batch: int, steps: int) -> Iterator[list[int]]:
    order: list[int] = []
    for _ in range(steps):
        if len(order) < batch:
            order = torch.randperm(images).tolist()
        yield [order.pop() for _ in range(batch)]


def _bare_detection(images: Sequence[LabelledImage], _: dict[str, Any]) -> Losses:
    pixels = [torch.from_numpy(one.image).permute(2, 0, 1).float() / 255 for one in images]
    targets = []
    for one in images:
        objects = [each for each in one.instances if not each.crowd]
        masks = np.array([each.mask for each in objects], np.uint8).reshape(-1, *one.image.shape[:2])
        boxes = torch.tensor([each.box for each in objects]).view(-1, 4)
        labels = torch.tensor([each.label + 1 for each in objects], dtype=torch.int64)
        targets.append({"boxes": boxes, "labels": labels, "masks": torch.from_numpy(masks)})

    def mirrored(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        boxes = target["boxes"][:, [2, 1, 0, 3]]
        boxes[:, [0, 2]] = image.shape[-1] - boxes[:, [0, 2]]
        return image.flip(-1), target | {"boxes": boxes, "masks": target["masks"].flip(-1)}

    def losses(network: nn.Module, places: Sequence[int]) -> Tensor:
        chosen = [(pixels[place], targets[place]) for place in places]
        shown = [mirrored(*pair) if torch.rand(()) < 0.5 else pair for pair in chosen]
        return sum(network([image for image, _ in shown], [target for _, target in shown]).values())

    return losses


def _bare_segmentation(images: Sequence[LabelledImage], network: dict[str, Any]) -> Losses:
    side = network["crop"]

    def losses(network: nn.Module, places: Sequence[int]) -> Tensor:
        turned = [random.random() < 0.5 for _ in places]
        shown = _batch(images, places, turned, side)
        resized = [
            cv2.resize(images[place].labels, (side, side), interpolation=cv2.INTER_NEAREST)[:, :: -1 if turn else 1]
            for place, turn in zip(places, turned, strict=True)
        ]
        scores = F.interpolate(network(shown), (side, side), mode="bilinear", align_corners=False)
        return F.cross_entropy(scores, torch.from_numpy(np.stack(resized)).long(), ignore_index=VOID)

    return losses


def _bare_classification(images: Sequence[LabelledImage], network: dict[str, Any]) -> Losses:
    side = network["size"]

    def losses(network: nn.Module, places: Sequence[int]) -> Tensor:
        shown = _batch(images, places, [random.random() < 0.5 for _ in places], side)
        return F.cross_entropy(network(shown), torch.tensor([images[place].label for place in places]))

    return losses


def _batch(images: Sequence[LabelledImage], places: Sequence[int], turned: Sequence[bool], side: int) -> Tensor:
    """`b 3 side side` in [0, 1]."""
    resized = [
        cv2.resize(images[place].image, (side, side))[:, :: -1 if turn else 1]
        for place, turn in zip(places, turned, strict=True)
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255


BARE = {
    "detection": _bare_detection,
    "segmentation": _bare_segmentation,
    "classification": _bare_classification,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100, help="scenes that are drawn")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed, besides one to warm up")
    parser.add_argument("--steps", type=int, default=100, help="batches in each round")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--tasks", nargs="+", choices=BARE, default=list(BARE), metavar="TASK")
    return parser


if __name__ == "__main__":
    main()
