"""GrabCut before and after: CPU seconds a photo, and IoU with the exact one; in one run, one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.grabcut ../shared/data/imagenet_sample --photos 177

The folder is in ILSVRC's layout with annotated boxes and, beside it, masks (taken for true). `grabcut` under another
seed says what an IoU with the exact one is worth: that is how far k-means' random start alone moves its masks.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from jaxtyping import Bool

from bgdata.ingest.ilsvrc import find_tree, list_candidates
from bgdata.ingest.photos import ingest_photos
from bgdata.ingest.settings import FilterSettings, IngestSettings, PerClass
from bgdata.io import decode_mask
from bgdata.masks.metrics import iou
from bgdata.shards import ImageSet
from models.segmenters.base import Photo, Segmenter, read_photo
from models.segmenters.grabcut import GrabCut
from models.segmenters.grabcut_fast import GrabCutFast

ITERATIONS, BAND = 5, 16  # as params.yaml has them
EXACT = "grabcut"
SEGMENTERS: dict[str, Segmenter] = {
    EXACT: GrabCut(iterations=ITERATIONS, seed=0),
    "grabcut, another seed": GrabCut(iterations=ITERATIONS, seed=1),
    "grabcut_fast": GrabCutFast(iterations=ITERATIONS, band=BAND, seed=0),
    "grabcut_fast, another seed": GrabCutFast(iterations=ITERATIONS, band=BAND, seed=1),
}


@dataclass
class Results:
    """Of one segmenter, a number a photo: CPU seconds, IoU with the exact one, IoU with the true mask."""

    seconds: list[float] = field(default_factory=list)
    with_exact: list[float] = field(default_factory=list)
    with_truth: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    cv2.setNumThreads(1)
    with TemporaryDirectory() as scratch:
        pairs = _read_pairs(arguments.folder, Path(scratch), arguments.photos)
    results = {name: Results() for name in SEGMENTERS}
    for photo, truth in pairs:
        _segment(photo, truth, results)
    print(f"{len(results[EXACT].seconds)} photos of {len(pairs)}, each with a box that leaves background\n")
    _print_table(results)


def _segment(photo: Photo, truth: Bool[np.ndarray, "h w"], results: dict[str, Results]) -> None:
    exact = None
    for name, segmenter in SEGMENTERS.items():
        start = time.process_time()
        mask = segmenter.segment([photo])[0].mask
        seconds = time.process_time() - start
        if mask is None:
            return
        exact = mask if exact is None else exact
        results[name].seconds.append(seconds)
        results[name].with_exact.append(iou(mask, exact))
        results[name].with_truth.append(iou(mask, truth))


def _print_table(results: dict[str, Results]) -> None:
    print("| what | CPU s a photo | faster | IoU with grabcut | median | 5th percentile | least | IoU with the masks |")
    print("|---|---|---|---|---|---|---|---|")
    for name, found in results.items():
        faster = np.mean(results[EXACT].seconds) / np.mean(found.seconds)
        low, middle = np.percentile(found.with_exact, [5, 50])
        print(
            f"| {name} | {np.mean(found.seconds):.2f} | {faster:.1f}x | {np.mean(found.with_exact):.3f} | "
            f"{middle:.3f} | {low:.3f} | {min(found.with_exact):.3f} | {np.mean(found.with_truth):.3f} |"
        )


def _read_pairs(folder: Path, scratch: Path, count: int) -> Sequence[tuple[Photo, Bool[np.ndarray, "h w"]]]:
    """Photos and their masks, a seeded choice of `count`."""
    settings = IngestSettings(
        filters=FilterSettings(require_box=True, max_box_share=1.0, min_box_kept=0.0),
        per_class=PerClass(train=None, val=None),
        exclude_ids=None,
        val_share=0.2,
        max_unreadable=0.0,
        photos_per_shard=100,
    )
    tree = find_tree(folder)
    ingest_photos(tree, list_candidates(tree), scratch, settings=settings, seed=0, workers=1)
    with ImageSet(scratch / "photos") as photos, ImageSet(scratch / "given_masks") as masks:
        truths = {row.id: row for row in masks.rows}
        rows = [row for row in photos.rows if row.id in truths]
        chosen = np.random.default_rng(0).permutation(len(rows))[:count]
        return [(read_photo(photos, rows[n]), decode_mask(masks.read(truths[rows[n].id]))) for n in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos in ILSVRC's layout, with boxes and masks")
    parser.add_argument("--photos", type=int, default=40, help="how many of them (default: %(default)s)")
    return parser


if __name__ == "__main__":
    main()
