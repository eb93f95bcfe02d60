"""The Backgrounds Challenge: how many foregrounds no background of the test set can turn into another class.

Source: Xiao et al. 2021, section 4, and its evaluator, whose verdicts these are; it decodes each background again for
each foreground, this decodes once, tries the most harmful backgrounds first, and fills its batches.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from bgdata.compose.paste import paste_foreground
from bgdata.pixels import load_masks, load_pixels
from bgdata.shards import ImageSet, Row, write_text_whole
from models.classifiers import Classifier
from models.devices import exact_arithmetic
from models.evaluation.accuracy import labels_of, summary_by_class

SETS_READ = ("original", "fg_mask", "only_bg_t")
# Foregrounds tried side by side, and composites in a round. Constants and no settings: the number of forward passes,
# which the score reports, must not depend on the machine.
_GROUP = 32
_ROUND = 128


@dataclass(frozen=True)
class ChallengeData:
    """Foregrounds with their masks and labels, and the backgrounds that each of them is put on."""

    foregrounds: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    labels: Int64[np.ndarray, " n"]
    backgrounds: UInt8[np.ndarray, "m h w 3"]


@dataclass(frozen=True)
class Verdicts:
    """Which foregrounds some background fools, and how many composites it took to know."""

    vulnerable: Bool[np.ndarray, " n"]
    forward_passes: int


def open_challenge(sets: Path, *, split: str, workers: int) -> tuple[ChallengeData, list[Row]]:
    """All foregrounds (`original` and its `fg_mask`) and backgrounds (`only_bg_t`) of a split, with the former's rows.

    Raises InputError where a set is not there, or lacks a photo's mask.
    """
    with (
        ImageSet(sets / "original") as originals,
        ImageSet(sets / "fg_mask") as mask_set,
        ImageSet(sets / "only_bg_t") as background_set,
    ):
        rows = originals.split(split)
        foregrounds = load_pixels(originals, rows, size=None, folder=None, workers=workers, label="foregrounds")
        size = foregrounds.shape[1]
        masks = load_masks(
            mask_set, mask_set.by_id(row.id for row in rows), size=size, folder=None, workers=workers, label="masks"
        )
        backgrounds = load_pixels(
            background_set, background_set.split(split), size=size, folder=None, workers=workers, label="backgrounds"
        )
    return ChallengeData(foregrounds, masks, labels_of(rows), backgrounds), rows


def judge_foregrounds(
    classifier: Classifier,
    data: ChallengeData,
    *,
    device: torch.device,
    eval_batch: int,
    progress: Path | None = None,
) -> Verdicts:
    """Whether each foreground is vulnerable: whether it is misclassified on some background (its own included).

    Exact: a foreground counts as robust only when it was tried on every background. Backgrounds that fooled most so far
    are tried first; a foreground is left at the first round that fools it. With `progress`, a killed run goes on from
    that file.
    """
    classifier.to(device).eval()
    on_device = _ChallengeTensors(data, device)
    count, vulnerable, passes = len(data.labels), [], 0
    fooled = np.zeros(len(data.backgrounds), np.int64)
    if progress and progress.is_file():
        state = json.loads(progress.read_text())
        vulnerable, passes, fooled = state["vulnerable"], state["passes"], np.array(state["fooled"], np.int64)
    with tqdm(total=count, initial=len(vulnerable), desc="challenge", unit="fg", mininterval=1.0) as bar:
        for start in range(len(vulnerable), count, _GROUP):
            group = np.arange(start, min(start + _GROUP, count))
            verdicts = np.zeros(len(group), bool)
            # Stable: among equals the index decides, so a run can be repeated.
            order = np.argsort(-fooled, kind="stable")
            for foregrounds, backgrounds in _rounds(group, order, verdicts):
                wrong = on_device.are_misclassified(classifier, foregrounds, backgrounds, eval_batch=eval_batch)
                passes += len(wrong)
                verdicts[np.unique(foregrounds[wrong]) - start] = True
                np.add.at(fooled, backgrounds[wrong], 1)
                bar.set_postfix(vulnerable=int(sum(vulnerable) + verdicts.sum()), passes=passes, refresh=False)
            vulnerable += verdicts.tolist()
            bar.update(len(group))
            if progress:
                state = {"vulnerable": vulnerable, "passes": passes, "fooled": fooled.tolist()}
                write_text_whole(progress, json.dumps(state))
    return Verdicts(np.array(vulnerable, bool), passes)


def _rounds(
    group: Int64[np.ndarray, " g"], order: Int64[np.ndarray, " m"], verdicts: Bool[np.ndarray, " g"]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (foreground, background) to try next: the group's unfooled on the next backgrounds, until either runs out.

    `verdicts` is the caller's, and changes between rounds.
    """
    tried = 0
    while tried < len(order) and not verdicts.all():
        unfooled = group[~verdicts]
        following = order[tried : tried + max(_ROUND // len(unfooled), 1)]
        tried += len(following)
        yield np.repeat(unfooled, len(following)), np.tile(following, len(unfooled))


class _ChallengeTensors:
    """The challenge's images on the device, composited and classified there."""

    def __init__(self, data: ChallengeData, device: torch.device) -> None:
        def images(pixels: np.ndarray) -> Tensor:
            return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)

        self.foregrounds = images(data.foregrounds)
        self.backgrounds = images(data.backgrounds)
        self.masks = torch.from_numpy(data.masks).to(device)[:, None]
        self.labels = torch.from_numpy(data.labels).to(device)

    @torch.inference_mode()
    def are_misclassified(
        self, classifier: Classifier, foregrounds: np.ndarray, backgrounds: np.ndarray, *, eval_batch: int
    ) -> Bool[np.ndarray, " pairs"]:
        """Whether each pair's composite is not classified as the foreground's class, in float32."""
        wrong = []
        with exact_arithmetic():
            for start in range(0, len(foregrounds), eval_batch):
                fg = torch.from_numpy(foregrounds[start : start + eval_batch]).to(self.labels.device)
                bg = torch.from_numpy(backgrounds[start : start + eval_batch]).to(self.labels.device)
                composites = paste_foreground(self.backgrounds[bg], self.foregrounds[fg], self.masks[fg])
                predictions = classifier(composites.float().div_(255)).argmax(1)
                wrong.append((predictions != self.labels[fg]).cpu())
        return torch.cat(wrong).numpy()


def challenge_score(verdicts: Verdicts, data: ChallengeData, rows: list[Row]) -> dict[str, Any]:
    """The verdicts as a score: challenge accuracy (1 - vulnerable / count), by class, and one row a foreground."""
    return {
        **_summary(verdicts.vulnerable),
        "backgrounds": len(data.backgrounds),
        "forward_passes": verdicts.forward_passes,
        "per_class": summary_by_class(verdicts.vulnerable, data.labels, _summary),
        "foregrounds": [
            {"id": row.id, "label": row.label, "vulnerable": bool(vulnerable)}
            for row, vulnerable in zip(rows, verdicts.vulnerable, strict=True)
        ],
    }


def _summary(vulnerable: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    return {
        "challenge_accuracy": 1 - float(vulnerable.mean()),
        "vulnerable": int(vulnerable.sum()),
        "count": len(vulnerable),
    }
