"""Photos a second per core of our rendering, of the straightforward PIL version, and of the codecs alone; in one run.

    python -m benchmarks.render data/in9/photos data/in9/masks

All three make the eight variants (224 px) of the same photos, in one thread. The straightforward version is what a
script does that follows the paper step by step: for each variant it reads the photo and the mask again, works at full
size with PIL and NumPy, keeps intermediates as full-size PNGs that it reads back, and resizes and crops last. The codec
limit is OpenCV's decoders and encoders alone, with nothing in between: photo by photo one decode of it and one of its
mask (also of those that render leaves out), eight JPEG encodes at the same quality and one PNG of the mask. Times are
CPU seconds (user and system), so that other work on the machine counts for none of them; ours and the codecs take
turns, after a round that is not counted.
"""

import argparse
import io
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bgdata.compose.background import tile_background
from bgdata.compose.names import FG_MASK, VARIANTS
from bgdata.compose.render import render_sets
from bgdata.compose.settings import RenderSettings
from bgdata.geometry import Box, mask_box
from bgdata.shards import ImageSet, Row

QUALITY = 90
SETTINGS = {
    "resize": 256,
    "size": 224,
    "jpeg_quality": QUALITY,
    "edge": "hard",
    "feather": 1.5,
    "mixed_rand_from": "any_class",
    "placement": {"position": "keep", "size": [1.0, 1.0]},
    "per_class": {"train": None, "val": None},
    "images_per_shard": 500,
}
SLOW_PHOTOS = 12  # the straightforward version is timed on so many photos


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        rounds = []
        for number in range(arguments.rounds + 1):
            ours, count = _time_ours(arguments.photos, arguments.masks, work / str(number))
            rounds.append((ours, _time_codecs(arguments.photos, arguments.masks, work / str(number))))
        slow = _time_straightforward(arguments.photos, arguments.masks, work / "slow")
    ours, codec = (statistics.median(rates) for rates in zip(*rounds[1:], strict=True))
    shares = [own / limit for own, limit in rounds[1:]]
    print(f"{count} photos, eight variants each, one thread, median of {arguments.rounds} rounds\n")
    print("| what | photos/s per core | ours is |\n|---|---|---|")
    print(f"| straightforward PIL, full-size PNGs | {slow:.2f} | {ours / slow:.0f}x |")
    print(f"| ours (and fg_mask, shards, index) | {ours:.0f} | |")
    share = f"{statistics.median(shares):.2f} of it ({min(shares):.2f} to {max(shares):.2f})"
    print(f"| codecs alone (2 decodes + 9 encodes) | {codec:.0f} | {share} |")


def _time_ours(photos: Path, masks: Path, work: Path) -> tuple[float, int]:
    start = time.process_time()
    render_sets(photos, masks, settings=RenderSettings.model_validate(SETTINGS), seed=0, work=work, workers=1)
    seconds = time.process_time() - start
    with ImageSet(work / "original") as images:
        return len(images.rows) / seconds, len(images.rows)


def _time_codecs(photos: Path, masks: Path, rendered: Path) -> float:
    jpeg, png = [cv2.IMWRITE_JPEG_QUALITY, QUALITY], [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1]
    seconds = 0.0
    with ExitStack() as stack:
        photo_set, mask_set, foregrounds, *variants = (
            stack.enter_context(ImageSet(folder))
            for folder in (photos, masks, rendered / FG_MASK, *(rendered / variant for variant in VARIANTS))
        )
        places = {row.id: place for place, row in enumerate(foregrounds.rows)}
        for mask_row, photo_row in zip(mask_set.rows, photo_set.by_id([row.id for row in mask_set.rows]), strict=True):
            photo, mask = (
                np.frombuffer(data, np.uint8) for data in (photo_set.read(photo_row), mask_set.read(mask_row))
            )
            place = places.get(mask_row.id)
            images = [] if place is None else [_decoded(images, place, cv2.IMREAD_COLOR) for images in variants]
            shapes = [] if place is None else [_decoded(foregrounds, place, cv2.IMREAD_GRAYSCALE)]
            start = time.process_time()
            cv2.imdecode(photo, cv2.IMREAD_COLOR)
            cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE)
            for image in images:
                cv2.imencode(".jpg", image, jpeg)
            for shape in shapes:
                cv2.imencode(".png", shape, png)
            seconds += time.process_time() - start
    return len(places) / seconds


def _decoded(images: ImageSet, place: int, flags: int) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(images.read(images.rows[place]), np.uint8), flags)
    assert pixels is not None, "render wrote it"
    return pixels


def _time_straightforward(photos: Path, masks: Path, work: Path) -> float:
    work.mkdir()
    with ImageSet(photos) as photo_set, ImageSet(masks) as mask_set:
        rows = photo_set.by_id([row.id for row in mask_set.rows])[: SLOW_PHOTOS + 1]
        for row, mask in zip(rows, mask_set.by_id([row.id for row in rows]), strict=True):
            (work / f"{row.id}.JPEG").write_bytes(photo_set.read(row))
            (work / f"{row.id}_mask.png").write_bytes(mask_set.read(mask))
    start = time.process_time()
    for row, other in itertools.pairwise(rows):
        _straightforward(work, row, other)
    return (len(rows) - 1) / (time.process_time() - start)


def _straightforward(work: Path, row: Row, other: Row) -> None:
    for variant in VARIANTS:
        if variant.startswith("mixed"):
            _save_png(work / "only_bg_t.png", _full_size(work, other, "only_bg_t"))
            _save_png(work / "only_fg.png", _full_size(work, row, "only_fg"))
            foreground = Image.open(work / "only_fg.png").convert("RGB")
            background = Image.open(work / "only_bg_t.png").convert("RGB").resize(foreground.size)
            mask = Image.open(work / f"{row.id}_mask.png").convert("L").resize(foreground.size)
            composite = np.asarray(Image.composite(foreground, background, mask))
        else:
            composite = _full_size(work, row, variant)
        _save_png(work / f"{variant}.png", composite)
        crop = _crop(Image.open(work / f"{variant}.png").convert("RGB"))
        crop.save(work / f"{variant}.JPEG", quality=QUALITY)


def _full_size(work: Path, row: Row, variant: str) -> np.ndarray:
    image = np.asarray(Image.open(work / f"{row.id}.JPEG").convert("RGB"))
    mask = np.asarray(Image.open(work / f"{row.id}_mask.png").convert("L")) >= 128
    box = mask_box(mask) or Box(0, 0, 1, 1)
    make: dict[str, Callable[[], np.ndarray]] = {
        "original": lambda: image,
        "only_bg_b": lambda: _blacked(image, box),
        "only_bg_t": lambda: tile_background(image, box),
        "no_fg": lambda: image * ~mask[..., None],
        "only_fg": lambda: image * mask[..., None],
    }
    return make[variant]()


def _blacked(image: np.ndarray, box: Box) -> np.ndarray:
    blacked = image.copy()
    blacked[box.y0 : box.y1, box.x0 : box.x1] = 0
    return blacked


def _save_png(path: Path, image: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def _crop(image: Image.Image) -> Image.Image:
    scale = 256 / min(image.size)
    width, height = (max(round(side * scale), 256) for side in image.size)
    x, y = (width - 224) // 2, (height - 224) // 2
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((x, y, x + 224, y + 224))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a set of photos (data/in9/photos)")
    parser.add_argument("masks", type=Path, help="their masks (data/in9/masks)")
    parser.add_argument("--rounds", type=int, default=3, help="how often ours and the codecs take turns")
    return parser


if __name__ == "__main__":
    main()
