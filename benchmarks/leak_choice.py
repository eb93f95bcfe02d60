"""How often the choice by leak takes the true mask rather than a spoilt one, on real photos.

    PYTHONPATH=DIR python -m benchmarks.leak_choice TREE --checkpoint WEIGHTS --levels 31

TREE is an ILSVRC tree with `masks/` beside it; the classifier is EfficientNet-Lite0 (see benchmarks/lite0.py). The true
mask stands against itself eroded, dilated, filled to its box, and without its right half. In each pair the spoilt one
is the method's own choice (place 0), so that the prior by order speaks against the truth.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.lite0 import build
from bgdata.classes import ClassList
from bgdata.geometry import mask_box
from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.io import decode_image, decode_mask
from bgdata.labels import IN9
from bgdata.masks.metrics import iou
from models.classifiers.judged import IMAGENET_MEAN, IMAGENET_STD, Judged
from models.segmenters.base import Photo
from models.segmenters.leak_choice import LeakChoice, LeakScore, leak_score
from models.segmenters.settings import ChooseSettings, ChoosingClassifier

CLASSIFIER = ChoosingClassifier(arch="lite0", weights=None, checkpoint=None, entry=None, in9=False)
SPOILT = ("eroded 10 px", "dilated 15 px", "its box", "half cut away")
# Whether what the classifier sees counts, and the weights of size and order.
PRIORS = {
    "all": (True, 2.0, 0.1),
    "without order": (True, 2.0, 0.0),
    "without size": (True, 0.0, 0.1),
    "leak alone": (True, 0.0, 0.0),
    "size alone": (False, 2.0, 0.0),
}


class Remembered(nn.Module):
    """A network whose answers are computed once and given again, in their order, for another list of classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.known: list[Tensor] = []
        self.again = False

    def forward(self, images: Tensor) -> Tensor:
        """The logits of a batch."""
        if self.again:
            return self.known.pop(0)
        self.known.append(self.network(images))
        return self.known[-1]


def main() -> None:
    """Measure and print the tables."""
    arguments = _parser().parse_args()
    network = Remembered(build(arguments.checkpoint).eval())
    photos = list(_photos(arguments.tree))[:: arguments.every]
    wnids = sorted({photo.wnid for photo, _ in photos})
    lists = {"nine classes": IN9, "synsets": ClassList("synsets", tuple(wnids), tuple((wnid,) for wnid in wnids))}
    found: dict[str, list[list[LeakScore | None]]] = {name: [] for name in lists}
    started = time.process_time()
    for photo, truth in photos:
        masks = [truth, *(mask if mask.any() else None for mask in _spoil(truth))]
        for again, (name, classes) in enumerate(lists.items()):
            network.again = bool(again)
            label = classes.label_by_wnid[photo.wnid]
            judge = Judged(network, class_list=classes, classes=1000, mean=IMAGENET_MEAN, std=IMAGENET_STD)
            choice = LeakChoice(judge, _settings(arguments.levels), device=torch.device("cpu"))
            found[name].append(choice.score(Photo(photo.id, label, photo.wnid, photo.image, None), masks))
    seconds = (time.process_time() - started) / len(photos)
    print(f"{len(photos)} photos, {arguments.levels} grey levels, {seconds:.2f} CPU s a photo of five masks\n")
    ious = [[iou(mask, truth) for mask in (truth, *_spoil(truth))] for _, truth in photos]
    print(
        "mean IoU with the truth: "
        + ", ".join(f"{n} {m:.2f}" for n, m in zip(SPOILT, np.mean(ious, 0)[1:], strict=True))
    )
    for name, scores in found.items():
        _print_pairs(name, scores)
        _print_all(scores, ious)


def _print_pairs(name: str, scores: list[list[LeakScore | None]]) -> None:
    print(f"\n| {name}: the truth is taken against | " + " | ".join(PRIORS) + " |\n|---|" + "---|" * len(PRIORS))
    for place, spoilt in enumerate(SPOILT, 1):
        pairs = [(each[0], each[place]) for each in scores if each[0] is not None and each[place] is not None]
        cells = [
            np.mean([_total(true, 0.5, *prior) > _total(other, 0.0, *prior) for true, other in pairs])
            for prior in PRIORS.values()
        ]
        print(f"| {spoilt} ({len(pairs)}) | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


def _print_all(scores: list[list[LeakScore | None]], ious: list[list[float]]) -> None:
    """All five at once, the truth last."""
    cells = []
    for prior in PRIORS.values():
        taken = []
        for each in scores:
            order = [*range(1, len(each)), 0]
            totals = {
                place: _total(each[place], rank / len(each), *prior)
                for rank, place in enumerate(order)
                if each[place] is not None
            }
            taken.append(max(totals, key=totals.__getitem__))
        overlap = np.mean([own[place] for own, place in zip(ious, taken, strict=True)])
        cells.append(f"{np.mean([place == 0 for place in taken]):.2f} (IoU {overlap:.2f})")
    print("| all four at once | " + " | ".join(cells) + " |")


def _total(score: LeakScore, order: float, seen: bool, share_weight: float, order_weight: float) -> float:
    settings = _settings(1).model_copy(update={"share_weight": share_weight, "order_weight": order_weight})
    foreground, background = (score.foreground, score.background) if seen else (1.0, 0.0)
    return leak_score(foreground, background, share=score.share, order=order, settings=settings)


def _settings(levels: int) -> ChooseSettings:
    return ChooseSettings(
        by="leak",
        keep=5,
        classifier=CLASSIFIER,
        size=224,
        grey_levels=levels,
        share=0.1,
        share_weight=2.0,
        order_weight=0.1,
    )


def _photos(tree: Path) -> Iterator[tuple[Photo, np.ndarray]]:
    for each in list_candidates(find_tree(tree)):
        assert each.photo and each.mask, "the sample has both of each"
        image = decode_image(Path(each.photo).read_bytes())
        yield Photo(each.id, each.label, each.wnid, image, None), decode_mask(Path(each.mask).read_bytes())


def _spoil(truth: np.ndarray) -> list[np.ndarray]:
    box = mask_box(truth)
    assert box is not None, "a mask of something"
    filled, half = np.zeros_like(truth), truth.copy()
    filled[box.y0 : box.y1, box.x0 : box.x1] = True
    half[:, (box.x0 + box.x1) // 2 :] = False
    return [_moved(cv2.erode, truth, 10), _moved(cv2.dilate, truth, 15), filled, half]


def _moved(way: Callable[..., np.ndarray], mask: np.ndarray, pixels: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return way(mask.view(np.uint8), disc).astype(bool)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leak_choice", description=__doc__)
    parser.add_argument("tree", type=Path, metavar="TREE")
    parser.add_argument("--checkpoint", type=Path, required=True, help="EfficientNet-Lite0's weights")
    parser.add_argument("--levels", type=int, default=31, help="grey levels")
    parser.add_argument("--every", type=int, default=1, help="of the photos each n-th")
    return parser


if __name__ == "__main__":
    main()
