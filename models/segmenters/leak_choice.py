"""Which of a photo's masks is best, by what a classifier sees: the object on grey, and not the background.

Source: ForAug (Nauen et al. 2025), its choice among versions of a mask. What differs: one classifier in place of six,
Telea's filling in place of LaMa's, and the photo's class among those of a list.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from bgdata.classes import ClassList
from bgdata.compose.fill import continue_surroundings
from bgdata.errors import InputError
from bgdata.geometry import resize_pixels
from bgdata.masks.rle import encode_rle
from models.classifiers.judged import Judged
from models.classifiers.loading import ModelSource, load_judged
from models.devices import exact_arithmetic, resolve_device
from models.segmenters.base import Candidate, Photo, Segmentation
from models.segmenters.candidates import CHOICE_COLUMNS
from models.segmenters.judging import judge_mask
from models.segmenters.settings import ChooseSettings, SegmentJob

# A probability's logarithm is taken of no less.
_LEAST = 1e-8
_RADIUS = 3.0  # of Telea's filling; OpenCV's own example
_GREY = 128


@dataclass(frozen=True)
class LeakScore:
    """What speaks for a mask: the mean probability of the photo's class for its foreground on grey, the probability
    for the background alone, the mask's share of the photo, and what they come to.
    """

    foreground: float
    background: float
    share: float
    total: float


class Choice(NamedTuple):
    """The photo's mask (or why it has none), which candidate it is, and the cells of all candidates."""

    answer: Segmentation
    cells: dict[str, str]
    candidates: list[dict[str, Any]]


class LeakChoice:
    """Looks at the candidates of a photo one by one: a score depends on its photo and its mask alone."""

    def __init__(self, model: Judged, settings: ChooseSettings, *, device: torch.device) -> None:
        self._model = model.to(device).eval()
        self._settings = settings
        self._device = device
        self._levels = torch.linspace(0, 1, settings.grey_levels, device=device)[:, None, None, None]

    def choose(self, photo: Photo, answer: Segmentation, job: SegmentJob) -> Choice:
        """The candidate with the greatest score, of those that are no mask's rejects; of equals the first.

        Where all are rejected, the method's own choice is.
        """
        candidates = answer.candidates
        judged = [judge_mask(photo, replace(answer, mask=each.mask), job) for each in candidates]
        scores = self.score(photo, [each.mask for each in judged])
        totals = {place: score.total for place, score in enumerate(scores) if score is not None}
        best = max(totals, key=totals.__getitem__, default=None)
        cells = [
            _cells(place, candidates[place], judged[place], scores[place]) | {"chosen": int(place == best)}
            for place in range(len(candidates))
        ]
        if best is None:
            return Choice(judge_mask(photo, answer, job), dict.fromkeys(CHOICE_COLUMNS, ""), cells)
        chosen = {column: cells[best][column] for column in CHOICE_COLUMNS}
        return Choice(judged[best], chosen, cells)

    def score(self, photo: Photo, masks: Sequence[Bool[np.ndarray, "h w"] | None]) -> list[LeakScore | None]:
        """The score of each mask of a photo, in the method's order; None where there is no mask."""
        side = self._settings.size
        image = resize_pixels(photo.image, (side, side))
        scores: list[LeakScore | None] = []
        for place, mask in enumerate(masks):
            if mask is None:
                scores.append(None)
                continue
            foreground, background = self._look(image, mask, photo.label)
            share = float(mask.mean())
            order = place / len(masks)
            total = leak_score(foreground, background, share=share, order=order, settings=self._settings)
            scores.append(LeakScore(foreground, background, share, total))
        return scores

    @torch.inference_mode()
    def _look(
        self, image: UInt8[np.ndarray, "s s 3"], mask: Bool[np.ndarray, "h w"], label: int
    ) -> tuple[float, float]:
        """The probability of a class for the foreground on grey (mean of the levels), and for the background."""
        soft = resize_pixels(mask.view(np.uint8) * np.uint8(255), image.shape[:2])
        photo = self._tensor(image)
        alpha = torch.from_numpy(soft).to(self._device)[None].float() / 255
        on_grey = alpha * photo + (1 - alpha) * self._levels
        background = self._tensor(_without(image, soft > 0))
        # One batch a candidate, of one size for all: no other candidate or photo can round it otherwise.
        with exact_arithmetic():
            logits = self._model(torch.cat([on_grey, background[None]]))
        of_class = self._model.class_probabilities(logits.double())[:, label]
        return float(of_class[:-1].mean()), float(of_class[-1])

    def _tensor(self, image: UInt8[np.ndarray, "s s 3"]) -> Float32[Tensor, "3 s s"]:
        return torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255


def leak_score(foreground: float, background: float, *, share: float, order: float, settings: ChooseSettings) -> float:
    """What speaks for a mask: higher is better, 0 at most.

    `foreground`, `background`: P(class); `share`: of the photo; `order`: place over number of the candidates, below 1.
    Source: ForAug, log P(class | foreground) + log(1 - P(class | background)) + 2 log(1 - |share - 0.1|)
    + 0.1 log(1 - place / candidates).
    """
    return (
        log(max(foreground, _LEAST))
        + log(max(1 - background, _LEAST))
        + settings.share_weight * log(max(1 - abs(share - settings.share), _LEAST))
        + settings.order_weight * log(1 - order)
    )


def load_leak_choice(settings: ChooseSettings, classes: ClassList, *, device: str) -> LeakChoice:
    """With the classifier that the settings name, for photos of a list of classes.

    Raises InputError where it cannot be loaded, or does not speak for the list.
    """
    said = settings.classifier
    source = ModelSource(
        class_list=classes,
        checkpoint=None if said.checkpoint is None else Path(said.checkpoint),
        arch=said.arch,
        weights=said.weights,
        entry=said.entry,
        in9=said.in9,
    )
    try:
        model, _ = load_judged(source)
    except InputError as error:
        raise InputError(f"segment.choose.classifier: {error}") from error
    return LeakChoice(model, settings, device=resolve_device(device))


def _without(image: UInt8[np.ndarray, "s s 3"], hole: Bool[np.ndarray, "s s"]) -> UInt8[np.ndarray, "s s 3"]:
    """The background alone; grey where the mask leaves nothing of it."""
    if hole.all():
        return np.full_like(image, _GREY)
    return continue_surroundings(image, hole, method="telea", radius=_RADIUS)


def _cells(place: int, candidate: Candidate, judged: Segmentation, score: LeakScore | None) -> dict[str, Any]:
    mask = candidate.mask if judged.mask is None else judged.mask
    runs = encode_rle(mask)
    cells = {
        "candidate": str(place),
        "of": candidate.of,
        "score": "" if candidate.score is None else f"{candidate.score:.4f}",
        "reason": judged.reason or "",
        "height": mask.shape[0],
        "width": mask.shape[1],
        "counts": runs["counts"],
    }
    if score is None:
        return cells | dict.fromkeys(("leak_score", "foreground", "background", "share"), "")
    names = {"leak_score": score.total, "foreground": score.foreground, "background": score.background}
    return cells | {name: f"{value:.6f}" for name, value in (names | {"share": score.share}).items()}
