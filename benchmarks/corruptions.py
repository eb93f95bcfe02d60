"""Milliseconds an image of each corruption, ours beside the reference package's (imagecorruptions-imaug), in one run.

    pip install --target REFERENCE --no-deps imagecorruptions-imaug numba llvmlite
    python -m benchmarks.corruptions PHOTOS --reference REFERENCE

Photos (some of a folder, at any depth) are cropped to 224 pixels. Each corruption is applied to each photo by the
package and by us in turn, several times, and a photo's lowest CPU time counts: other work on the machine only adds, and
what is made once (compiled code, tables, textures) is no part of it. Ours includes the check of the image and its
generator; the package checks as well. One thread each. With OMP_NUM_THREADS=1 and make's MALLOC_ settings both run as
our stages do; without these, fresh memory costs both up to twice the time.

    python -m benchmarks.corruptions RELEASE --judge resnet18

measures instead what the judge of corruptions makes of photos a second when they are corrupted on the fly, against the
same network on photos that lie decoded in memory: a release's `original`, random weights, wall clock.
"""

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np

from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES, STANDARD, Corruption, corrupt_image
from bgdata.corrupt.live import LiveCorruptions
from bgdata.corrupt.settings import CorruptionSettings
from bgdata.geometry import CentreCrop
from bgdata.io import decode_image
from bgdata.labels import IN9
from bgdata.sources import open_sources
from models.classifiers.classifier import build_classifier
from models.classifiers.judged import judged_classifier
from models.devices import resolve_device
from models.evaluation.corruptions import judge_corruptions
from models.evaluation.in9 import predict

PHOTO_ENDINGS = (".jpeg", ".jpg", ".png")


def main() -> None:
    """Measure and print the table."""
    arguments = _parser().parse_args()
    if arguments.judge:
        _print_judge(arguments)
        return
    cv2.setNumThreads(1)
    package = _reference_package(arguments.reference)
    photos = _photos(arguments.photos, arguments.count)
    _print_beside_reference(package, photos, arguments)


def _print_judge(arguments: argparse.Namespace) -> None:
    """Photos a second of the judge and of its network alone, one corruption of each family beside the other."""
    classifier = build_classifier(arguments.judge, input_size=224, classes=len(IN9))
    model = judged_classifier(classifier, IN9).eval()
    names = [name for name in ("gaussian_noise", "glass_blur", "snow", "elastic_transform") if name in arguments.names]
    settings = CorruptionSettings(
        names=names, severities=[arguments.severity], regions=["whole"], store=False, jpeg_quality=85
    )
    sources = open_sources(arguments.photos, ("original",), split="val")
    workers = os.cpu_count() or 1
    run = {"device": resolve_device(arguments.device), "eval_batch": arguments.batch}
    with tempfile.TemporaryDirectory() as folder:
        data = LiveCorruptions(
            sources["original"], None, settings, seed=0, workers=workers, cache=Path(folder) / "pixels"
        )
        chunks = data.clean()
        assert chunks is not None, "the release has its originals"
        pixels = np.concatenate([chunk for _, chunk in chunks])
        model.to(run["device"])
        rates: dict[str, list[float]] = {"network": [], "judge": []}
        for number in range(arguments.rounds):
            start = time.perf_counter()
            for _ in names:
                predict(model, pixels, device=run["device"], batch=arguments.batch)
            middle = time.perf_counter()
            judge_corruptions({"model": model}, data, Path(folder) / str(number), **run)
            photos = len(pixels) * len(names)
            rates["network"].append(photos / (middle - start))
            # The judge sees the clean photos too.
            rates["judge"].append((photos + len(pixels)) / (time.perf_counter() - middle))
    network, judge = (statistics.median(rates[key]) for key in ("network", "judge"))
    print(f"{arguments.judge}, {len(pixels)} photos, {', '.join(names)} at severity {arguments.severity}\n")
    print("| what | photos/s | of the network alone |\n|---|---|---|")
    print(f"| the network alone | {network:.0f} | |")
    print(f"| corrupted on the fly and judged | {judge:.0f} | {judge / network:.2f}x |")


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
    parser.add_argument("photos", type=Path, help="a folder of photos; of --judge: a release")
    parser.add_argument(
        "--reference", type=Path, help="folder that holds the reference package, if it is not installed"
    )
    parser.add_argument("--severity", type=int, choices=SEVERITIES, default=3)
    parser.add_argument("--count", type=int, default=10, help="photos")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--judge", metavar="ARCH", help="measure the judge with this network (resnet18, timm:...)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=16, help="images in a forward pass of --judge")
    parser.add_argument("--names", nargs="+", choices=CORRUPTIONS, default=list(CORRUPTIONS), metavar="NAME")
    return parser


if __name__ == "__main__":
    main()
