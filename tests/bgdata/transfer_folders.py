"""Small sets of the transfer tasks, in their layouts."""

import io
import json
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bgdata.io import encode_jpeg, encode_palette
from bgdata.masks.rle import encode_runs
from bgdata.segmentation_sets.voc import voc_palette

SIZE = (48, 64)
CLASSES = ("cat", "dog", "bird")


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def rectangle(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def photo(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    return encode_jpeg(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), 95)


def coco_contents() -> dict[str, Any]:
    """Three photos: a dog over a cat, a crowd of dogs, and none; categories' ids are neither sorted nor contiguous."""
    size = {"height": SIZE[0], "width": SIZE[1]}
    shapes: list[tuple[int, int, Any, list[float], int]] = [
        (7, 18, [[10, 10, 20, 10, 20, 20, 10, 20]], [10, 10, 10, 10], 0),
        (7, 17, [[5, 5, 40, 5, 40, 30, 5, 30]], [5.5, 5, 34.5, 25], 0),
        (9, 18, encode_runs(rectangle(30, 20, 60, 40)), [30, 20, 30, 20], 1),
    ]
    return {
        "images": [{"id": key, "file_name": f"{key}.jpg", **size} for key in (7, 9, 8)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": of, "segmentation": shape, "bbox": box, "iscrowd": crowd}
            for n, (image, of, shape, box, crowd) in enumerate(shapes)
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 5, "name": "bird"}, {"id": 17, "name": "cat"}],
    }


def write_coco_folder(root: Path, contents: Any = None, split: str = "val2017") -> Path:
    contents = coco_contents() if contents is None else contents
    write(root / f"annotations/instances_{split}.json", json.dumps(contents))
    for key in (7, 9, 8):
        write(root / f"{split}/{key}.jpg", photo(key))
    return root


def write_ade_folder(root: Path, mask: np.ndarray, *, names: tuple[str, ...] = CLASSES) -> Path:
    """One photo a split; the table's columns are parted by tabs, names may hold commas."""
    home = root / "ADEChallengeData2016"
    for folder, stem in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        write(home / f"images/{folder}/{stem}.jpg", photo(1, mask.shape))
        write(home / f"annotations/{folder}/{stem}.png", encode_palette(mask, voc_palette()))
    rows = [f"{index}\t0.1\t10\t5\t{name}   " for index, name in enumerate(names, start=1)]
    write(home / "objectInfo150.txt", "\n".join(["Idx\tRatio\tTrain\tVal\tName", *rows]) + "\n")
    return root


def write_voc_folder(root: Path, mask: np.ndarray) -> Path:
    home = root / "VOCdevkit/VOC2012"
    for split, stem in (("train", "2012_1"), ("val", "2012_2")):
        write(home / f"ImageSets/Segmentation/{split}.txt", f"{stem}\n")
        write(home / f"JPEGImages/{stem}.jpg", photo(2, mask.shape))
        write(home / f"SegmentationClass/{stem}.png", encode_palette(mask, voc_palette()))
    return root


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its texts, and numpy's functions where they were in its day."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, data: bytes) -> None:
        self.write(b"T" + len(data).to_bytes(4, "little") + data)
        self.memoize(data)

    dispatch[bytes] = save_bytes


def python2_pickle(content: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, 2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def cifar_values(number: int, count: int = 4) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), [int(label) for label in rng.integers(0, 10, count)]


CIFAR_NAMES = [f"class {label}" for label in range(10)]


def write_cifar_folder(root: Path, *, is_binary: bool = False, is_python2: bool = True) -> Path:
    for number in range(6):
        values, labels = cifar_values(number)
        name = f"data_batch_{number}" if number else "test_batch"
        if is_binary:
            records = np.concatenate([np.uint8(labels)[:, None], values], 1)
            write(root / f"cifar-10-batches-bin/{name}.bin", records.tobytes())
            continue
        content: dict[Any, Any] = {b"data": values, b"labels": labels, b"batch_label": b"a batch"}
        data = python2_pickle(content) if is_python2 else pickle.dumps(content, 2)
        write(root / f"cifar-10-batches-py/{name}", data)
    if is_binary:
        write(root / "cifar-10-batches-bin/batches.meta.txt", "\n".join(CIFAR_NAMES) + "\n")
    else:
        meta = {b"label_names": [name.encode() for name in CIFAR_NAMES], b"num_vis": 3072}
        write(root / "cifar-10-batches-py/batches.meta", python2_pickle(meta))
    return root
