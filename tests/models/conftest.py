"""Small sets whose classes a small network can tell apart: a disc of the class's colour on a background of its own."""

from pathlib import Path

import numpy as np
import pytest

from bgdata.classes import ClassList
from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.shards import Row, finish_set, shard_name, write_shard

SIDE = 48
PER_CLASS = {"train": 4, "val": 2}
COLOURS = np.random.default_rng(5).integers(0, 256, (12, 3)).astype(np.uint8)


def draw_photo(label: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image, mask, background)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = np.hypot(y - rng.integers(16, 32), x - rng.integers(16, 32)) < rng.integers(8, 14)
    background = np.broadcast_to(rng.integers(0, 256, 3), (SIDE, SIDE, 3)).astype(np.uint8)
    return np.where(mask[..., None], COLOURS[label], background), mask, background


def write_set(
    folder: Path, members: list[tuple[Row, bytes]], columns: tuple[str, ...] = (), *, classes: ClassList = IN9
) -> None:
    for split in sorted({row.split for row, _ in members}):
        write_shard(folder, shard_name(split, 0), [member for member in members if member[0].split == split])
    finish_set(folder, classes=classes, columns=columns)


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All variants, the masks, and a mixup set."""
    return write_sets(tmp_path_factory.mktemp("sets"), IN9)


def write_sets(root: Path, classes: ClassList) -> Path:
    """All variants, the masks, and a mixup set, of up to 12 classes."""
    rng = np.random.default_rng(0)
    members: dict[str, list[tuple[Row, bytes]]] = {name: [] for name in (*VARIANTS, FG_MASK, "mixup")}
    for split, per_class in PER_CLASS.items():
        for label in range(len(classes)):
            for number in range(per_class):
                image, mask, background = draw_photo(label, rng)
                photo = f"n{label:08d}_{split}{number}"
                for name, found in members.items():
                    if name == "mixup" and split == "val":
                        continue
                    soft = {"partner": "any", "partner_label": str((label + number) % len(classes)), "lam": "0.75"}
                    extra = soft if name == "mixup" else {}
                    row = Row(photo, split, label, "n0", classes.member_name(label, photo), extra=extra)
                    pixels = background if name.startswith("only_bg") else image
                    found.append((row, encode_mask(mask) if name == FG_MASK else encode_jpeg(pixels, 95)))
    for name, found in members.items():
        write_set(root / name, found, ("partner", "partner_label", "lam") if name == "mixup" else (), classes=classes)
    return root
