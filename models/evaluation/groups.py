"""The group of images (class, class of the background) that a classifier gets right least often."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int64

from bgdata.classes import ClassList
from models.evaluation.statistics import wilson_interval

# Of fewer images the worst rate is chance's: the 95 % interval of a rate is up to 40 points wide at 20 images, up to 70
# at 4. In the demo that leaves each class on its own and on the next class's backgrounds (some 44 images each; of any
# other pair there are about 4), in the official release all 81 pairs (50 or more).
MIN_GROUP = 20


def worst_group(
    labels: Int64[np.ndarray, " n"],
    backgrounds: Int64[np.ndarray, " n"],
    correct: Bool[np.ndarray, " n"],
    *,
    classes: ClassList,
) -> dict[str, Any] | None:
    """The accuracy of the worst group of at least MIN_GROUP images, and which it is; None where no group has as many.

    The interval is of the group's own rate: it knows nothing of the group having been chosen as the worst. `groups`
    counts those of enough images, `too_small` the others. Source: Sagawa et al. 2020.
    """
    # Only the groups that occur: of hundreds of classes most do not.
    pairs, group, counts = np.unique(labels * len(classes) + backgrounds, return_inverse=True, return_counts=True)
    hits = np.bincount(group[correct], minlength=len(pairs))
    (enough,) = np.nonzero(counts >= MIN_GROUP)
    if not len(enough):
        return None
    worst = int(enough[np.argmin(hits[enough] / counts[enough])])
    label, background = divmod(int(pairs[worst]), len(classes))
    right, count = int(hits[worst]), int(counts[worst])
    return {
        "class": classes.names[label],
        "background": classes.names[background],
        "accuracy": right / count,
        "correct": right,
        "count": count,
        "interval": wilson_interval(right, count),
        "groups": len(enough),
        "too_small": len(pairs) - len(enough),
    }
