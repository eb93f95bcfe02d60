"""What a source of backgrounds gives away of the objects that stood there: what a classifier still names in them, and
what the shape of the hole alone tells it.

ForAug (Nauen et al. 2025) weighs masks by P(class | background); the paper of ImageNet-9 has the accuracies on
`only_bg_b`, `only_bg_t` and `no_fg`. That a hole betrays its object is measured here as a difference of pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8

from bgdata.classes import ClassList
from bgdata.compose.background import BackgroundChoice, has_strip, tile_background
from bgdata.compose.fill import Filler, hole_of
from bgdata.geometry import Box
from bgdata.randomness import image_generator
from models.classifiers.judged import Judged
from models.evaluation.in9 import Judgement, accuracy_summary, predict
from models.evaluation.statistics import paired_gap

# Why there is no number, in the results' words.
NO_CLASS = "photos without objects, of unknown classes: nothing can be right"
NO_IMAGES = "no images of the split that is judged"


@runtime_checkable
class Remover(Protocol):
    """How a source takes a foreground away: what it does with an image, given the foreground's mask and box."""

    def remove(
        self,
        images: Sequence[UInt8[np.ndarray, "h w 3"]],
        masks: Sequence[Bool[np.ndarray, "h w"]],
        boxes: Sequence[Box],
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Each image without its foreground."""


class Tiles:
    """The paper's: the box covered by tiles of the background beside it."""

    def remove(
        self,
        images: Sequence[UInt8[np.ndarray, "h w 3"]],
        masks: Sequence[Bool[np.ndarray, "h w"]],  # noqa: ARG002  # a Remover's
        boxes: Sequence[Box],
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Cover each box; one that leaves no strip of its image leaves it as it is."""
        return [
            tile_background(image, box) if has_strip(box, image.shape[:2]) else image
            for image, box in zip(images, boxes, strict=True)
        ]


@dataclass(frozen=True)
class Filled:
    """Inpainting of the mask, dilated."""

    filler: Filler
    dilate: int | Literal["foraug"]

    def remove(
        self,
        images: Sequence[UInt8[np.ndarray, "h w 3"]],
        masks: Sequence[Bool[np.ndarray, "h w"]],
        boxes: Sequence[Box],  # noqa: ARG002  # a Remover's
    ) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Fill each hole; one that covers all of its image stays as it is."""
        holes = [hole_of(np.asarray(mask), self.dilate) for mask in masks]
        whole = [place for place, hole in enumerate(holes) if not hole.all()]
        filled = self.filler.fill([images[place] for place in whole], [holes[place] for place in whole])
        answers = list(images)
        for place, image in zip(whole, filled, strict=True):
            answers[place] = image
        return answers


@dataclass(frozen=True)
class Holes:
    """Photos' backgrounds as they are, and with the hole of another class's object: `labels` are that object's."""

    before: UInt8[np.ndarray, "n h w 3"]
    after: UInt8[np.ndarray, "n h w 3"]
    labels: Int64[np.ndarray, " n"]


def make_holes(
    backgrounds: UInt8[np.ndarray, "n h w 3"],
    masks: Bool[np.ndarray, "n h w"],
    boxes: Sequence[Box],
    ids: Sequence[str],
    labels: Int64[np.ndarray, " n"],
    remover: Remover,
    *,
    classes: ClassList,
    seed: int,
) -> Holes:
    """Remove each photo's foreground from the background of another photo, of a class drawn among the others.

    Nothing of the object was ever there: what a classifier reads of its class it reads from the hole. The same photos
    get the same partners whatever the source.

    Raises InputError where all photos are of one class.
    """
    by_label = {
        int(label): [ids[int(place)] for place in np.flatnonzero(labels == label)] for label in np.unique(labels)
    }
    choice, places = BackgroundChoice(by_label, classes), {photo: place for place, photo in enumerate(ids)}
    partners = []
    for photo, label in zip(ids, labels, strict=True):
        other, _ = choice.other_class(photo, int(label), image_generator(seed, photo, "leak.hole"))
        partners.append(places[other])
    before = np.asarray(backgrounds[partners])
    return Holes(before, np.stack(remover.remove(list(before), list(masks), boxes)), labels)


def hole_leak(model: Judged, holes: Holes, *, device: torch.device, eval_batch: int) -> dict[str, Any]:
    """How much more often a classifier answers the object's class where its hole is: `gap` with its 95 % interval, and
    the two rates.
    """
    model.to(device).eval()
    hits = [
        predict(model, images, device=device, batch=eval_batch)[0] == holes.labels
        for images in (holes.after, holes.before)
    ]
    rates = {name: float(hit.mean()) for name, hit in zip(("with_hole", "without_hole"), hits, strict=True)}
    return rates | paired_gap(*hits)


def background_leak(judgements: Mapping[str, Judgement], reference: str) -> dict[str, dict[str, Any]]:
    """By source: the accuracy on its backgrounds alone, and what that is more than on those of the `reference`, on the
    photos that both have (`against`; the reference has none).
    """
    found = {}
    base = judgements[reference]
    base_hits = dict(zip(base.ids, base.correct.tolist(), strict=True))
    for source, judged in judgements.items():
        found[source] = {"accuracy": accuracy_summary(judged.correct), "against": None}
        hits = dict(zip(judged.ids, judged.correct.tolist(), strict=True))
        both = [photo for photo in judged.ids if photo in base_hits]
        if source != reference and both:
            first, second = (np.array([side[photo] for photo in both]) for side in (hits, base_hits))
            found[source]["against"] = paired_gap(first, second) | {"source": reference}
    return found
