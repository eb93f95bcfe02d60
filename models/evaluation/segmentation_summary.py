"""From the scores of single samples to the numbers of a result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from bgdata.randomness import image_generator
from bgdata.segmentation_sets.unusable import count_reasons
from models.evaluation.segmentation import Evaluation, SampleScore

RESAMPLES = 2000
_CONFIDENCE = 0.95


def summarise(
    evaluation: Evaluation, *, clustered_by: Literal["image", "sequence"], seed: int, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """The numbers of one segmenter on one set, ready for JSON; fractions, None where there is nothing to score.

    `mean_iou`, `mean_dice`, `count`, `misses` over samples, the same in `without_misses` and `per_category`;
    `category_mean` is the mean over the categories. Where samples come in sequences, `per_sequence` and `sequence_mean`
    too (DAVIS' J is the latter's IoU). `interval` holds 95% bootstrap intervals of the means over samples.
    """
    scores = evaluation.scores
    found = [score for score in scores if score.miss is None]
    by_category = _means_by({score: score.sample.category for score in scores})
    result = {
        **_means(scores),
        "interval": bootstrap_intervals(scores, seed=seed, resamples=resamples),
        "without_misses": _means(found),
        "category_mean": _mean_of(by_category),
        "per_category": by_category,
        "miss_reasons": dict(sorted(Counter(score.miss for score in scores if score.miss is not None).items())),
        "unusable": count_reasons(evaluation.unusable),
    }
    if clustered_by == "sequence":
        by_sequence = _means_by({score: score.sample.cluster for score in scores})
        result |= {"sequence_mean": _mean_of(by_sequence), "per_sequence": by_sequence}
    return result


def bootstrap_intervals(
    scores: Sequence[SampleScore], *, seed: int, resamples: int = RESAMPLES
) -> dict[str, Any] | None:
    """The 95% percentile intervals of mean IoU and mean Dice; None with fewer than two clusters.

    Whole clusters (images or sequences) are drawn anew, since samples of one are alike.

    Source: Field and Welsh, "Bootstrapping clustered data" (2007), the randomised cluster bootstrap.
    """
    names = sorted({score.sample.cluster for score in scores})
    if len(names) < 2:
        return None
    rows = {name: row for row, name in enumerate(names)}
    sums = np.zeros((len(names), 3))  # IoU, Dice, samples
    for score in scores:
        sums[rows[score.sample.cluster]] += (score.iou, score.dice, 1)
    rng = image_generator(seed, "clusters", "segmentation.bootstrap")
    totals = np.stack([sums[rng.integers(len(names), size=len(names))].sum(axis=0) for _ in range(resamples)])
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(totals[:, :2] / totals[:, 2:], [tail, 1 - tail], axis=0)
    return {
        "mean_iou": [float(low[0]), float(high[0])],
        "mean_dice": [float(low[1]), float(high[1])],
        "clusters": len(names),
        "resamples": resamples,
    }


def _means(scores: Sequence[SampleScore]) -> dict[str, Any]:
    return {
        "mean_iou": _mean([score.iou for score in scores]),
        "mean_dice": _mean([score.dice for score in scores]),
        "count": len(scores),
        "misses": sum(score.miss is not None for score in scores),
    }


def _means_by(groups: Mapping[SampleScore, str]) -> dict[str, dict[str, Any]]:
    names = sorted(set(groups.values()))
    return {name: _means([score for score, of in groups.items() if of == name]) for name in names}


def _mean_of(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    means = {key: _mean([group[key] for group in groups.values()]) for key in ("mean_iou", "mean_dice")}
    return {**means, "count": len(groups)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
