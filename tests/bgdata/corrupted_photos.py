"""Small square photos with masks as sets, and folders of corrupted photos as others publish them."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bgdata.corrupt.sets import CorruptedSets
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.io import encode_jpeg, encode_mask
from bgdata.labels import IN9
from bgdata.shards import Row, finish_set, write_shard

SIDE = 40
PER_CLASS = 2
WNIDS = tuple(members[0] for members in IN9.wnids)
SETTINGS = {
    "names": ["spatter", "brightness"],
    "severities": [1, 4],
    "regions": ["whole", "foreground", "background"],
    "store": True,
    "jpeg_quality": 85,
}


def settings(**changed: object) -> CorruptionSettings:
    return CorruptionSettings.model_validate(SETTINGS | changed)


def photo_id(label: int, number: int) -> str:
    return f"{WNIDS[label]}_{100 * label + number:08d}"


def draw_image(label: int, number: int) -> np.ndarray:
    return np.random.default_rng([label, number]).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def draw_mask(label: int, number: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10 + label : 25 + label, 8 + number : 30] = True
    return mask


def write_photos(folder: Path, *, split: str = "val", name: str = "original") -> Path:
    """The sets `original` and `fg_mask` in a folder; returns it."""
    for kind, ending, encode in (
        (name, "JPEG", lambda *at: encode_jpeg(draw_image(*at), 95)),
        ("fg_mask", "png", lambda *at: encode_mask(draw_mask(*at))),
    ):
        members = [
            (Row(photo_id(*at), split, at[0], WNIDS[at[0]], IN9.member_name(at[0], photo_id(*at), ending)), encode(*at))
            for at in ((label, number) for label in range(9) for number in range(PER_CLASS))
        ]
        write_shard(folder / kind, f"{split}-00000.tar", members)
        finish_set(folder / kind, classes=IN9)
    return folder


def corrupted_sets(photos: Path, *, seed: int = 3, per_shard: int = 7, **changed: object) -> CorruptedSets:
    return CorruptedSets(
        originals=photos / "original",
        masks=photos / "fg_mask",
        settings=settings(**changed),
        seed=seed,
        images_per_shard=per_shard,
    )


def published_files(
    name: str, severity: int, *, draw: Callable[[int, int], np.ndarray] = draw_image
) -> dict[str, bytes]:
    """One corruption as published: `<corruption>/<severity>/<wnid>/ILSVRC2012_val_<number>.JPEG`."""
    return {
        f"{name}/{severity}/{WNIDS[label]}/ILSVRC2012_val_{100 * label + number:08d}.JPEG": encode_jpeg(
            np.clip(draw(label, number).astype(int) + severity, 0, 255).astype(np.uint8), 85
        )
        for label in range(9)
        for number in range(PER_CLASS)
    }


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(files: dict[str, bytes]) -> bytes:
    """A tar, as ImageNet-C's archives are."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return data.getvalue()
