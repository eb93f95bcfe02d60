"""Milliseconds an image of each corruption, ours beside the reference package's (imagecorruptions-imaug), in one run.

    pip install --target REFERENCE --no-deps imagecorruptions-imaug numba llvmlite
    python -m benchmarks.corruptions PHOTOS --reference REFERENCE

Photos (some of a folder, at any depth) are cropped to 224 pixels. Each corruption is applied to each photo by the
package and by us in turn, several times, and a photo's lowest CPU time counts: other work on the machine only adds, and
what is made once (compiled code, tables, textures) is no part of it. Ours includes the check of the image and its
generator; the package checks as well. One thread each. With OMP_NUM_THREADS=1 and make's MALLOC_ settings both run as
our stages do; without these, fresh memory costs both up to twice the time.
"""

import argparse
import importlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES, STANDARD, Corruption, corrupt_image
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image

PHOTO_ENDINGS = (".jpeg", ".jpg", ".png")


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    cv2.setNumThreads(1)
    package = _reference_package(arguments.reference)
    photos = _photos(arguments.photos, arguments.count)
    _print_beside_reference(package, photos, arguments)


def _print_beside_reference(package: ModuleType, photos: list[np.ndarray], arguments: argparse.Namespace) -> None:
    print(f"{len(photos)} photos of 224 x 224, severity {arguments.severity}, {arguments.rounds} rounds, one core\n")
    print("| corruption | reference, ms | ours, ms | ratio |\n|---|---|---|---|")
    times = {name: _times(package, name, photos, arguments) for name in arguments.names}
    for name, (reference, ours) in times.items():
        print(_row(name, reference, ours))
    standard = [times[name] for name in times if name in STANDARD]
    if len(times) == len(CORRUPTIONS):
        print(_row("**the 15**", *(sum(column) for column in zip(*standard, strict=True))))
    print(_row(f"**all {len(times)}**", *(sum(column) for column in zip(*times.values(), strict=True))))


def _row(name: str, reference: float, ours: float) -> str:
    return f"| {name} | {reference * 1000:.2f} | {ours * 1000:.2f} | {reference / ours:.1f}x |"


def _times(
    package: ModuleType, name: str, photos: list[np.ndarray], arguments: argparse.Namespace
) -> tuple[float, float]:
    """Seconds an image, the package's and ours: means over the photos of each one's quickest."""
    corruption = Corruption(name, arguments.severity)

    def reference(photo: np.ndarray) -> np.ndarray:
        return package.corrupt(photo, severity=corruption.severity, corruption_name=name)

    def ours(photo: np.ndarray) -> np.ndarray:
        return corrupt_image(photo, corruption, seed=0, image_id="photo")

    reference(photos[0]), ours(photos[0])
    quickest = [
        [min(times) for times in zip(*(_both((reference, ours), photo) for _ in range(arguments.rounds)), strict=True)]
        for photo in photos
    ]
    of_reference, of_ours = (statistics.fmean(column) for column in zip(*quickest, strict=True))
    return of_reference, of_ours


def _both(ways: tuple[Callable[[np.ndarray], np.ndarray], ...], photo: np.ndarray) -> list[float]:
    seconds = []
    for way in ways:
        start = time.process_time()
        way(photo)
        seconds.append(time.process_time() - start)
    return seconds


def _reference_package(folder: Path | None) -> ModuleType:
    if folder is not None:
        sys.path.append(str(folder))  # behind ours: its OpenCV and NumPy are not to be taken
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("imagecorruptions")
        except ImportError as error:
            sys.exit(f"the reference package is missing ({error}): name its folder with --reference")


def _photos(folder: Path, count: int) -> list[np.ndarray]:
    """Some photos of a folder, as far apart in its order as can be, as the crop that classifiers see."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_ENDINGS)
    if not paths:
        sys.exit(f"{folder} holds no photos ({', '.join(PHOTO_ENDINGS)}): name a folder that does")
    chosen = paths[:: max(1, len(paths) // count)][:count]
    return [CentreCrop().image(decode_image(path.read_bytes())) for path in chosen]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument(
        "--reference", type=Path, help="folder that holds the reference package, if it is not installed"
    )
    parser.add_argument("--severity", type=int, choices=SEVERITIES, default=3)
    parser.add_argument("--count", type=int, default=10, help="photos")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--names", nargs="+", choices=CORRUPTIONS, default=list(CORRUPTIONS), metavar="NAME")
    return parser


if __name__ == "__main__":
    main()
