"""A tiny test set in the official release's layout."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bgdata.io import encode_jpeg
from bgdata.labels import CLASS_FOLDERS


def draw_release(root: Path, *, names: Sequence[str], side: int, per_class: int = 2) -> None:
    """Noise in the layout `<name>/val/<class>/*`; mixed images are named for both of their photos."""
    rng = np.random.default_rng(0)
    for label, folder in enumerate(CLASS_FOLDERS):
        for number in range(1, per_class + 1):
            photo = f"n{label:08d}_{number}"
            image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            for name in names:
                place = root / name / "val" / folder
                place.mkdir(parents=True, exist_ok=True)
                if name == "fg_mask":
                    np.save(place / f"{photo}.npy", image[..., 0] > 100)
                else:
                    stem = f"fg_{photo}_bg_n00000007_1" if name.startswith("mixed") else photo
                    (place / f"{stem}.JPEG").write_bytes(encode_jpeg(image, 95))
