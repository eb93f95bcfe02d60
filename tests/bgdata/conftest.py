"""Small sets of drawn photos with their masks."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.shards import Row, finish_set, shard_name, write_shard

BOX_COLUMNS = ("height", "width", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Drawn:
    """A photo of the fixture: noise with a disc on it."""

    row: Row
    image: np.ndarray
    mask: np.ndarray


def draw_photo(label: int, split: str, number: int) -> Drawn:
    rng = np.random.default_rng([label, split == "val", number])
    height, width = (int(side) for side in rng.integers(60, 90, 2))
    image = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (width, height))
    mask = np.zeros((height, width), np.uint8)
    centre = (width // 2 + int(rng.integers(-6, 7)), height // 2 + int(rng.integers(-6, 7)))
    cv2.circle(mask, centre, int(rng.integers(8, 16)), 1, -1)
    image[mask.astype(bool)] = rng.integers(0, 256, 3)
    x, y, box_width, box_height = cv2.boundingRect(mask)
    cells = dict(zip(BOX_COLUMNS, (height, width, x, y, x + box_width, y + box_height), strict=True))
    image_id = f"n{label:08d}_{split}{number}"
    row = Row(
        id=image_id,
        split=split,
        label=label,
        wnid=f"n{label:08d}",
        name=IN9.member_name(label, image_id),
        extra={key: str(value) for key, value in cells.items()},
    )
    return Drawn(row, image, mask.astype(bool))


def write_sets(folder: Path, photos: list[Drawn]) -> tuple[Path, Path]:
    """Write a set of photos and one of their masks."""
    for split in ("train", "val"):
        drawn = sorted((photo for photo in photos if photo.row.split == split), key=lambda photo: photo.row.id)
        members = [(photo.row, encode_jpeg(photo.image, 95)) for photo in drawn]
        write_shard(folder / "photos", shard_name(split, 0), members)
        write_shard(folder / "masks", shard_name(split, 0), [_mask_member(photo) for photo in drawn])
    finish_set(folder / "photos", classes=IN9, columns=BOX_COLUMNS)
    finish_set(folder / "masks", classes=IN9)
    return folder / "photos", folder / "masks"


def _mask_member(photo: Drawn) -> tuple[Row, bytes]:
    row = photo.row
    return Row(row.id, row.split, row.label, row.wnid, IN9.member_name(row.label, row.id, "png")), encode_mask(
        photo.mask
    )


@pytest.fixture(scope="session")
def photo_sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Sets of photos and masks: nine classes, 4 train and 3 val photos each."""
    counts = {"train": 4, "val": 3}
    photos = [
        draw_photo(label, split, n) for split, count in counts.items() for label in range(9) for n in range(count)
    ]
    return write_sets(tmp_path_factory.mktemp("sets"), photos)
