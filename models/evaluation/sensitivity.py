"""Whether a classifier minds noise on the foreground more than noise on the background.

Source: relative foreground sensitivity, Moayeri et al. 2022, as Hard ImageNet (Moayeri et al. 2022) uses it: Gaussian
noise of standard deviation 0.25 on pixels in [0, 1], three trials, accuracies averaged over classes. Here pixels are
cut off at 0 and 1 and noise comes in whole grey levels, as in any image at rest; and the two sides of a photo have
parts of the same noise.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache as remembered
from itertools import repeat
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int16, Int64, UInt8

from bgdata.classes import ClassList, check_same
from bgdata.compose.names import FG_MASK
from bgdata.errors import InputError
from bgdata.pixels import ImageSource, load_packed_masks, load_pixels
from bgdata.randomness import image_generator, seeded_order
from bgdata.shards import Row
from models.classifiers.judged import Judged
from models.evaluation.accuracy import classes_of, labels_of, unique_ids
from models.evaluation.in9 import predict

SETS_READ = ("original", FG_MASK)
SIGMA = 0.25
TRIALS = 3
# Photos whose noise is in memory at once.
_CHUNK = 128


@dataclass(frozen=True)
class MaskedPhotos:
    """Photos with their foregrounds' masks."""

    ids: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    images: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    class_list: ClassList


def open_masked_photos(
    sources: Mapping[str, ImageSource],
    *,
    split: str,
    per_class: int | None,
    seed: int,
    workers: int,
    cache: Path | None = None,
) -> MaskedPhotos | None:
    """A seeded choice of each class's photos (None: all) of `original` that have a mask in `fg_mask`, decoded; None
    where no photo has one. With a `cache`, sets are mapped from arrays there.

    Raises InputError where the sets have different lists of classes, or masks are not of their photos' size.
    """
    classes = classes_of(sources[name] for name in SETS_READ)
    rows = {name: sources[name].split(split) for name in SETS_READ}
    originals, masks = (dict(zip(unique_ids(sources[name], rows[name]), rows[name], strict=True)) for name in SETS_READ)
    chosen = _choose([row for photo, row in originals.items() if photo in masks], per_class, seed)
    if not chosen:
        return None
    ids = [row.id for row in chosen]

    def take(name: str, load: Callable[..., Any]) -> np.ndarray:
        places = {row.id: place for place, row in enumerate(rows[name])}
        folder = cache and cache / name
        array = load(sources[name], rows[name], size=None, folder=folder, workers=workers, label=name)
        return array[np.array([places[photo] for photo in ids])]

    images, alpha = take("original", load_pixels), take(FG_MASK, load_packed_masks)
    if images.shape[1:3] != alpha.shape[1:]:
        sizes = " and ".join("x".join(map(str, array.shape[1:3])) for array in (images, alpha))
        raise InputError(f"photos and masks differ in size ({sizes}, height x width): give sets that belong together")
    return MaskedPhotos(tuple(ids), labels_of(chosen), images, alpha, classes)


def _choose(rows: Sequence[Row], per_class: int | None, seed: int) -> list[Row]:
    order = [rows[place] for place in seeded_order(seed, [row.id for row in rows], "sensitivity")]
    taken: Counter[int] = Counter()
    chosen = []
    for row in order:
        taken[row.label] += 1
        if per_class is None or taken[row.label] <= per_class:
            chosen.append(row)
    return chosen


def foreground_sensitivity(
    model: Judged, photos: MaskedPhotos, *, seed: int, device: torch.device, eval_batch: int, workers: int
) -> dict[str, Any]:
    """The relative foreground sensitivity, with the two accuracies that it is made of.

    `value` is (accuracy with a noisy background - with a noisy foreground) / (2 min(m, 1 - m)), m being their mean:
    the share of the largest difference that is possible at that mean. From -1 (noise on the background alone does
    harm) to 1 (on the foreground alone); None where m is 0 or 1. `count` photos were seen in each trial.

    Raises InputError where the model and the photos have different lists of classes.
    """
    check_same({"the model": model.labels, "the data": photos.class_list})
    model.to(device).eval()
    hits = np.zeros((2, len(photos.labels)))
    for part, sides in _noisy_photos(photos, seed=seed, workers=workers):
        for side, images in enumerate(sides):
            predicted, _, _ = predict(model, images, device=device, batch=eval_batch)
            hits[side, part] += predicted == photos.labels[part]
    on_foreground, on_background = (_class_average(side, photos.labels) / TRIALS for side in hits)
    return {
        "value": relative_difference(on_background, on_foreground),
        "accuracy_noisy_foreground": on_foreground,
        "accuracy_noisy_background": on_background,
        "trials": TRIALS,
        "sigma": SIGMA,
        "count": len(photos.labels),
    }


def sensitivity_score(model: Judged, photos: MaskedPhotos | None, **run: Any) -> dict[str, Any]:
    """What a score of the variants gains: nothing where no photo has a mask (see `foreground_sensitivity`)."""
    return {} if photos is None else {"relative_foreground_sensitivity": foreground_sensitivity(model, photos, **run)}


def relative_difference(first: float, second: float) -> float | None:
    """The difference of two rates over the largest that two rates of their mean can have; None where that is 0."""
    mean = (first + second) / 2
    largest = 2 * min(mean, 1 - mean)
    return (first - second) / largest if largest > 0 else None


def noisy_photo(
    image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
    """A photo with noise on its foreground alone, and with the rest of that noise on its background alone."""
    noise = _grey_levels()[rng.integers(0, 2**16, image.shape, dtype=np.uint16)]
    noisy = np.add(image, noise, out=noise).clip(0, 255).astype(np.uint8)
    inside = mask[..., None]
    return np.where(inside, noisy, image), np.where(inside, image, noisy)


def _noisy_photos(
    photos: MaskedPhotos, *, seed: int, workers: int
) -> Iterator[tuple[slice, tuple[UInt8[np.ndarray, "n h w 3"], UInt8[np.ndarray, "n h w 3"]]]]:
    """Some photos after others, in each trial: which, with noisy foregrounds, with noisy backgrounds."""

    def draw(place: int, trial: int) -> tuple[np.ndarray, np.ndarray]:
        rng = image_generator(seed, photos.ids[place], f"sensitivity {trial}")
        return noisy_photo(photos.images[place], photos.masks[place], rng)

    with ThreadPoolExecutor(workers) as pool:  # numpy lets go of Python's lock
        for trial in range(TRIALS):
            for start in range(0, len(photos.ids), _CHUNK):
                part = slice(start, min(start + _CHUNK, len(photos.ids)))
                drawn = pool.map(draw, range(part.start, part.stop), repeat(trial))
                foregrounds, backgrounds = zip(*drawn, strict=True)
                yield part, (np.stack(foregrounds), np.stack(backgrounds))


@remembered
def _grey_levels() -> Int16[np.ndarray, " 65536"]:
    """Noise in whole grey levels by 16 equally likely bits: faster than drawing floats and rounding them."""
    normal = NormalDist(0, SIGMA * 255)
    return np.rint([normal.inv_cdf((bits + 0.5) / 2**16) for bits in range(2**16)]).astype(np.int16)


def _class_average(hits: Float64[np.ndarray, " n"], labels: Int64[np.ndarray, " n"]) -> float:
    return fmean(float(hits[labels == label].mean()) for label in np.unique(labels))
