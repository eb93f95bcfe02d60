"""The reference package of corruptions (imagecorruptions-imaug): run where it is importable, remembered where not.

    IMAGECORRUPTIONS=folder python -m tests.bgdata.reference_corruptions --write

runs it and writes `reference_corruptions.json`, against which the tests hold our corruptions on machines that lack it.
The folder is one that `pip install --target folder --no-deps imagecorruptions-imaug numba llvmlite` filled.
"""

import argparse
import base64
import contextlib
import hashlib
import importlib
import json
import os
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from bgdata.corrupt.corruptions import CORRUPTIONS, SEVERITIES

RESULTS = Path(__file__).with_suffix(".json")
# The 0th seed is that of the sampled pixels; all are those of the spread of each statistic.
SEEDS = range(8)
# Every so many values of the output are kept: prime, so that they fall on all rows, columns and channels.
SAMPLE_STEP = 47
SPECTRUM_BINS = 8


class LegacyGenerator(np.random.Generator):
    """A Generator whose numbers are those of the old global one: what the reference draws after `np.random.seed(seed)`.

    numba has a generator of its own, of the same kind and with the same numbers, so glass blur is fed as well. The old
    one knows no float32: its doubles are rounded.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self._old = np.random.RandomState(seed)

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return _given(self._old.random_sample(_size(size, out)), dtype, out)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return self._old.uniform(low, high, size)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return _given(self._old.standard_normal(_size(size, out)), dtype, out)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return self._old.normal(loc, scale, size)

    def poisson(self, lam: Any = 1.0, size: Any = None) -> Any:
        return self._old.poisson(lam, size)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Any:
        low, high = (0, low) if high is None else (low, high)
        return _given(self._old.randint(low, high + endpoint, size), dtype, None)

    def choice(self, a: Any, size: Any = None, replace: bool = True, p: Any = None, **_: Any) -> Any:
        return self._old.choice(a, size, replace, p)

    def permutation(self, x: Any, axis: int = 0) -> Any:  # noqa: ARG002 # the old one knows the first axis alone
        return self._old.permutation(x)

    def shuffle(self, x: Any, axis: int = 0) -> None:  # noqa: ARG002
        self._old.shuffle(x)


def _size(size: Any, out: Any) -> Any:
    return size if out is None else out.shape


def _given(drawn: Any, dtype: Any, out: Any) -> Any:
    if out is not None:
        out[...] = drawn
        return out
    return np.asarray(drawn, dtype) if np.ndim(drawn) else np.dtype(dtype).type(drawn)


def reference_generator(name: str, seed: int) -> np.random.Generator:
    """The generator with which our corruption `name` draws what the reference draws in `reference_image`."""
    return np.random.default_rng(seed) if name == "impulse_noise" else LegacyGenerator(seed)


@cache
def _reference_package() -> ModuleType | None:
    folder = os.environ.get("IMAGECORRUPTIONS")
    if folder is not None:
        sys.path.append(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # others' imports are not ours to mend
            return importlib.import_module("imagecorruptions")
    except ImportError:
        return None


def reference_package() -> ModuleType:
    """The reference package; the test is skipped where it is not to be had."""
    package = _reference_package()
    if package is None:
        pytest.skip("the reference package is missing: name the folder that holds it in IMAGECORRUPTIONS")
    return package


@contextlib.contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """The old global generator seeded, and put back afterwards: the reference draws from it."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def reference_image(package: ModuleType, image: np.ndarray, name: str, severity: int, *, seed: int) -> np.ndarray:
    """What the reference makes of an image, all its numbers seeded: two corruptions take their seed as an argument."""
    options = {"seed": seed} if name in ("impulse_noise", "glass_blur") else {}
    with _global_seed(seed), warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        return package.corrupt(image, severity=severity, corruption_name=name, **options)


def drawn_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """RGB uint8 `h w 3`, drawn and the same on every machine: smooth light, edges, texture, and areas of one colour.

    The sky is flat and a patch is saturated, as in photos: there the reference's truncation is decided by the last bit.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    photo = 90 + 80 * y[..., None] * [1.0, 0.6, 0.2] + 50 * x[..., None] * [0.2, 0.7, 1.0]
    texture = cv2.resize(rng.integers(-40, 41, (height // 3, width // 3), dtype=np.int16), (width, height))
    photo += texture[..., None] * (y > 0.45)[..., None]
    canvas = np.ascontiguousarray(np.clip(np.rint(photo), 0, 255).astype(np.uint8))
    canvas[: height // 4] = (131, 178, 223)
    for _ in range(8):
        centre = (int(rng.integers(width)), int(rng.integers(height // 4, height)))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.circle(canvas, centre, int(rng.integers(4, max(5, height // 6))), colour, -1)
    canvas[height // 2 : height // 2 + height // 5, width // 8 : width // 3] = 255
    grain = rng.integers(-3, 4, canvas.shape, dtype=np.int16)
    grain[: height // 4] = 0
    noisy = np.where(canvas == 255, 255, canvas.astype(np.int16) + grain)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def remembered_photo() -> np.ndarray:
    """The photo of `reference_corruptions.json`: 96 x 128."""
    return drawn_photo(96, 128)


def samples(image: np.ndarray) -> np.ndarray:
    """Every 47th value of an image, as `reference_corruptions.json` keeps them."""
    return image.reshape(-1)[::SAMPLE_STEP]


def statistics(image: np.ndarray) -> np.ndarray:
    """Mean, standard deviation, and log10 of the power of the grey image in eight rings of frequency, low to high."""
    grey = image.mean(2)
    power = np.abs(np.fft.fft2(grey - grey.mean())) ** 2 / grey.size
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.fftfreq(grey.shape[1])[None])
    ring = np.minimum((radius * 2 * SPECTRUM_BINS).astype(int), SPECTRUM_BINS - 1)
    rings = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    return np.array([image.mean(), image.std(), *np.log10(rings + 1e-6)])


@cache
def remembered() -> dict[str, Any]:
    """What `--write` wrote: corruption -> severity -> `sha256`, `samples`, `mean` and `spread` of `statistics`."""
    return json.loads(RESULTS.read_text())["corruptions"]


def remembered_samples(name: str, severity: int) -> np.ndarray:
    """`samples` of the reference's output on `remembered_photo`, with `reference_generator(name, 0)`'s numbers."""
    return np.frombuffer(base64.b64decode(remembered()[name][str(severity)]["samples"]), np.uint8)


def remembered_statistics(name: str, severity: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over eight seeds of the reference's `statistics` on `remembered_photo`."""
    cell = remembered()[name][str(severity)]
    return np.array(cell["mean"]), np.array(cell["spread"])


def flat_samples() -> np.ndarray:
    """Which `samples` of `remembered_photo` lie in an area of one level.

    There sums are whole numbers, and the last bit of exp, which differs between processors, decides what truncation
    makes of them: our values may differ by a level from those remembered from another machine.
    """
    photo, square = remembered_photo(), np.ones((3, 3), np.uint8)
    return samples(cv2.dilate(photo, square) == cv2.erode(photo, square))


def differences(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    """By how many levels an image, made of `remembered_photo`, differs from the remembered samples."""
    return np.abs(samples(image).astype(int) - remembered_samples(name, severity))


def _cell(package: ModuleType, name: str, severity: int) -> dict[str, Any]:
    images = [reference_image(package, remembered_photo(), name, severity, seed=seed) for seed in SEEDS]
    measured = np.array([statistics(image) for image in images])
    return {
        "sha256": hashlib.sha256(images[0].tobytes()).hexdigest(),
        "samples": base64.b64encode(samples(images[0]).tobytes()).decode(),
        "mean": measured.mean(0).round(4).tolist(),
        "spread": measured.std(0, ddof=1).round(4).tolist(),
    }


def main() -> None:
    """Run the reference package and write what it made.

    The hashes say which bytes were made here. Tests compare the samples, within a grey level: the last bit of exp, sin
    and of filters, which differs between processors, decides where a value falls that is truncated.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True, help=f"write {RESULTS.name}")
    parser.parse_args()
    package = _reference_package()
    if package is None:
        sys.exit("the reference package is missing: name the folder that holds it in IMAGECORRUPTIONS")
    cells = {name: {str(level): _cell(package, name, level) for level in SEVERITIES} for name in CORRUPTIONS}
    photo = hashlib.sha256(remembered_photo().tobytes()).hexdigest()
    what = {"package": "imagecorruptions-imaug 1.1.5", "photo": photo, "seeds": len(SEEDS), "corruptions": cells}
    text = json.dumps(what, separators=(",", ":")).replace('"},"', '"},\n"').replace(']},"', ']},\n"')
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
