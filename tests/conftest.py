"""A tiny ILSVRC tree of drawn photos, and where the real ones lie on machines that have them."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bgdata.geometry import Box
from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import in9_label_by_wnid

ROOT = Path(__file__).resolve().parent.parent
IMAGENET_SAMPLE = ROOT.parent / "shared" / "data" / "imagenet_sample"

SIZE = (260, 300)
TRAIN, VAL = 4, 3
WNIDS = tuple(next(wnid for wnid, of in in9_label_by_wnid().items() if of == label) for label in range(9))


@dataclass(frozen=True)
class TinyTree:
    """Paths in a tree: nine classes (one wnid each) of four photos in train and three in val, with boxes and masks."""

    root: Path

    def photo(self, label: int, number: int, split: str = "train") -> Path:
        return self.root / "ILSVRC/Data/CLS-LOC" / f"{place(label, number, split)}.JPEG"

    def annotation(self, label: int, number: int, split: str = "train") -> Path:
        return self.root / "ILSVRC/Annotations/CLS-LOC" / f"{place(label, number, split)}.xml"

    def mask(self, label: int, number: int, split: str = "train") -> Path:
        return self.root / "masks" / f"{place(label, number, split)}.png"

    def remove(self, label: int, number: int, split: str = "train") -> None:
        """Remove a photo with all that belongs to it (val: its line of the solution stays)."""
        for path in (self.photo, self.annotation, self.mask):
            path(label, number, split).unlink()

    def annotate(self, label: int, number: int, boxes: Sequence[Box], *, size: tuple[int, int] = SIZE) -> None:
        self.annotation(label, number).write_text(voc_xml(boxes, size))


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tests import torch before `pipeline` can tell its threads not to spin; on shared cores that costs most time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def place(label: int, number: int, split: str) -> str:
    """A file's place below the split folders, without its ending; numbers count from 0 in each class and split."""
    if split == "train":
        return f"train/{WNIDS[label]}/{WNIDS[label]}_{number + 1}"
    return f"val/ILSVRC2012_val_{number * 9 + label + 1:08d}"


def photo_id(label: int, number: int, split: str = "train") -> str:
    return f"{WNIDS[label]}_{number + 1}" if split == "train" else f"{WNIDS[label]}_{number * 9 + label + 1:08d}"


def voc_xml(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    objects = "".join(
        f"<object><bndbox><xmin>{b.x0}</xmin><ymin>{b.y0}</ymin><xmax>{b.x1}</xmax><ymax>{b.y1}</ymax></bndbox></object>"
        for b in boxes
    )
    return f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size>{objects}</annotation>"


def draw_object(rng: np.random.Generator, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A photo, green hues with a red ellipse on it, and its mask."""
    height, width = size
    noise = cv2.resize(rng.integers(0, 90, (8, 8, 3), dtype=np.uint8), (width, height))
    image = noise + np.uint8([0, 120, 0])
    mask = np.zeros(size, np.uint8)
    centre = (width // 2 + int(rng.integers(-15, 16)), height // 2 + int(rng.integers(-15, 16)))
    cv2.ellipse(mask, centre, (int(rng.integers(35, 60)), int(rng.integers(35, 60))), 0, 0, 360, 1, -1)
    image[mask.astype(bool)] = noise[mask.astype(bool)] // 3 + np.uint8([180, 0, 0])
    return image, mask.astype(bool)


def _write_tree(root: Path) -> None:
    tree = TinyTree(root)
    solution = ["ImageId,PredictionString"]
    for split, count in (("train", TRAIN), ("val", VAL)):
        for label in range(9):
            for number in range(count):
                image, mask = draw_object(np.random.default_rng([label, number, split == "val"]))
                x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
                box = Box(x, y, x + width, y + height)
                paths = [make(label, number, split) for make in (tree.photo, tree.annotation, tree.mask)]
                for path in paths:
                    path.parent.mkdir(parents=True, exist_ok=True)
                paths[0].write_bytes(encode_jpeg(image, 90))
                paths[1].write_text(voc_xml([box], SIZE))
                paths[2].write_bytes(encode_mask(mask))
                if split == "val":
                    solution.append(f"{paths[0].stem},{WNIDS[label]} {x} {y} {box.x1} {box.y1} ")
    (root / "LOC_val_solution.csv").write_text("\n".join(solution) + "\n")


@pytest.fixture(scope="session")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> TinyTree:
    """The tiny tree, to be read only."""
    root = tmp_path_factory.mktemp("tree")
    _write_tree(root)
    return TinyTree(root)


@pytest.fixture
def tiny_tree(shared_tree: TinyTree, tmp_path: Path) -> TinyTree:
    """The tiny tree, a copy of one's own."""
    shutil.copytree(shared_tree.root, tmp_path / "tree")
    return TinyTree(tmp_path / "tree")
