"""Predictions and accuracy: what all judges share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from bgdata.classes import ClassList, check_same
from bgdata.errors import InputError
from bgdata.pixels import ImageSource
from bgdata.shards import Row
from models.classifiers.classifier import Classifier


def predict_labels(
    classifier: Classifier, pixels: UInt8[np.ndarray, "n h w 3"], *, device: torch.device, batch: int
) -> Int64[np.ndarray, " n"]:
    """The class of each image, in batches, in evaluation mode; the classifier lies on `device`."""
    classifier.eval()
    with torch.inference_mode():
        batches = image_batches(pixels, device=device, batch=batch)
        return torch.cat([classifier(images).argmax(1).cpu() for images in batches]).numpy()


def image_batches(
    pixels: UInt8[np.ndarray, "n h w 3"], *, device: torch.device, batch: int
) -> Iterator[Float32[Tensor, "b 3 h w"]]:
    """Images at rest in batches, in [0, 1] on the device, channels last in memory.

    A batch is written over by the next one: on new memory each time a CPU would take twice as long.
    """
    floats = torch.empty((min(batch, len(pixels)), *pixels.shape[1:]), device=device)
    for start in range(0, len(pixels), batch):
        some = torch.from_numpy(np.require(pixels[start : start + batch], requirements=("C", "W"))).to(device)
        yield floats[: len(some)].copy_(some).div_(255).permute(0, 3, 1, 2)


def summary_by_class(
    hits: Bool[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
    summary: Callable[[Bool[np.ndarray, " k"]], dict[str, Any]],
    *,
    classes: ClassList,
) -> dict[str, dict[str, Any]]:
    """The summary of each class's part of `hits`, by class folder; classes that do not occur are absent."""
    return {classes.folders[label]: summary(hits[labels == label]) for label in np.unique(labels)}


def classes_of(sources: Iterable[ImageSource]) -> ClassList:
    """The one list of classes of all these sets.

    Raises InputError where two of them have different lists.
    """
    return check_same({str(source.folder): source.classes for source in sources})


def labels_of(rows: Sequence[Row]) -> Int64[np.ndarray, " n"]:
    """The labels of a set's rows."""
    return np.array([row.label for row in rows], np.int64)


def unique_ids(images: ImageSource, rows: Sequence[Row]) -> list[str]:
    """The ids of a set's rows.

    Raises InputError where two of them are of one photo.
    """
    places: dict[str, Row] = {}
    for row in rows:
        if (first := places.setdefault(row.id, row)) is not row:
            raise InputError(
                f"{images.folder} has two images of one photo, {images.place(first)} and {images.place(row)}: "
                "each photo stands once in a set, remove one"
            )
    return list(places)
