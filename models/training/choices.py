"""Whose background an image gets: another photo's, by weight of the classes, or that of a photo of the same batch."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64, Int64

from bgdata.classes import ClassList
from bgdata.compose.background_classes import UNKNOWN
from bgdata.errors import InputError
from bgdata.randomness import image_generator
from models.training.data import Backgrounds, label_of
from models.training.settings import By

# (indices of images, their labels, a number in [0, 1) drawn for each) -> positions of backgrounds
Choice = Callable[
    [Int64[np.ndarray, " b"], Int64[np.ndarray, " b"], Float64[np.ndarray, " b"]], Int64[np.ndarray, " b"]
]


class OtherPhotos:
    """The background of another photo, never the image's own; the class of an image decides what is likely.

    The pools that an image draws from are the backgrounds of each class, and (the last) all of them, those of unknown
    class among them.

    Raises InputError where images of a class that occurs have no such background, or `by` names an unknown class.
    """

    def __init__(self, backgrounds: Backgrounds, by: By, *, image_labels: Int64[np.ndarray, " n"]) -> None:
        self.labels, self.own = backgrounds.labels, backgrounds.own
        count = len(self.labels)
        by_class = np.argsort(self.labels, kind="stable")[np.count_nonzero(self.labels == UNKNOWN) :]
        self.members = np.concatenate((by_class, np.arange(count)))
        self.sizes = np.append(np.bincount(self.labels[by_class], minlength=len(backgrounds.classes)), count)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.place = np.zeros(count, np.int64)  # of each background among those of its class
        self.place[by_class] = np.arange(len(by_class)) - self.starts[self.labels[by_class]]
        self.everyone = len(backgrounds.classes)
        weights = pool_weights(by, self.sizes[: self.everyone], classes=backgrounds.classes)
        _check_pools(weights, self.sizes, np.unique(image_labels), backgrounds.classes)
        reached = np.cumsum(weights, 1)
        self.reached = reached / np.maximum(reached[:, -1:], np.finfo(np.float64).tiny)

    def __call__(
        self, indices: Int64[np.ndarray, " b"], labels: Int64[np.ndarray, " b"], draws: Float64[np.ndarray, " b"]
    ) -> Int64[np.ndarray, " b"]:
        """Positions of backgrounds: one draw decides on the pool, and what is left of it on the place in there."""
        reached, rows = self.reached[labels], np.arange(len(labels))
        pool = (draws[:, None] >= reached).sum(1)
        below = np.where(pool > 0, reached[rows, pool - 1], 0.0)
        draws = (draws - below) / (reached[rows, pool] - below)
        own = self.own[indices]
        inside = (own >= 0) & ((pool == self.everyone) | (self.labels[own] == pool))
        size = self.sizes[pool] - inside
        found = np.minimum((draws * size).astype(np.int64), size - 1)
        found += inside & (found >= np.where(pool == self.everyone, own, self.place[own]))
        return self.members[self.starts[pool] + found]


class FewPhotos:
    """Each image keeps to a few of the backgrounds that `choose` would give it: so many draws, thus at most so many.

    They come from (seed, image id) alone.
    """

    def __init__(
        self, choose: Choice, ids: Sequence[str], *, image_labels: Int64[np.ndarray, " n"], count: int, seed: int
    ) -> None:
        draws = np.stack([image_generator(seed, image, "choices").random(count) for image in ids])
        indices = np.arange(len(ids))
        self.table = np.stack([choose(indices, image_labels, draws[:, column]) for column in range(count)], 1)

    def __call__(
        self,
        indices: Int64[np.ndarray, " b"],
        labels: Int64[np.ndarray, " b"],  # noqa: ARG002  # a Choice's
        draws: Float64[np.ndarray, " b"],
    ) -> Int64[np.ndarray, " b"]:
        """Positions of backgrounds."""
        return self.table[indices, (draws * self.table.shape[1]).astype(np.int64)]


class BatchMates:
    """The background of another photo of the batch: its photos pass their backgrounds round in a random circle.

    To paste over the other photo itself, as is also done, would leave that photo's foreground in the picture; its
    background with the hole tiled shows none. A batch with one photo alone has nobody to take from, and keeps its own.

    Raises InputError where a photo has no background.
    """

    def __init__(self, backgrounds: Backgrounds) -> None:
        if (missing := int((backgrounds.own < 0).sum())) > 0:
            raise InputError(
                f"background.by: batch needs the background of every photo, and {backgrounds.name} lacks {missing} "
                f"of {len(backgrounds.own)}: render the sets again, or take another background_from"
            )
        self.own = backgrounds.own

    def __call__(
        self,
        indices: Int64[np.ndarray, " b"],
        labels: Int64[np.ndarray, " b"],  # noqa: ARG002  # a Choice's
        draws: Float64[np.ndarray, " b"],
    ) -> Int64[np.ndarray, " b"]:
        """Positions of backgrounds; a photo that the batch shows twice never meets itself."""
        photos, first, inverse = np.unique(indices, return_index=True, return_inverse=True)
        circle = np.argsort(draws[first])
        mates = np.empty_like(photos)
        mates[circle] = photos[np.roll(circle, 1)]
        return self.own[mates[inverse]]


def pool_weights(by: By, counts: Int64[np.ndarray, " k"], *, classes: ClassList) -> Float64[np.ndarray, "k pools"]:
    """How likely an image of each class (rows) draws from the backgrounds of each class, or (last column) from all.

    `counts`: how many backgrounds each class has.

    Raises InputError where `by` names a class that is none of `classes`.
    """
    weights = np.zeros((len(classes), len(classes) + 1))
    if by == "same_class":
        np.fill_diagonal(weights, 1)
    elif by == "other_class":
        weights[:, :-1] = counts * (1 - np.eye(len(classes)))
    else:
        weights[:, -1] = 1
    for name, row in (by if isinstance(by, dict) else {}).items():
        label = label_of(name, classes, setting="background.by")
        weights[label] = 0
        for other, weight in row.items():
            weights[label, label_of(other, classes, setting=f"background.by.{name}")] = weight
    return weights


def _check_pools(
    weights: Float64[np.ndarray, "k pools"],
    sizes: Int64[np.ndarray, " pools"],
    labels: Int64[np.ndarray, " c"],
    classes: ClassList,
) -> None:
    if sizes[-1] < 2:
        raise InputError("dynamic replacement needs at least two backgrounds: raise render.per_class.train")
    for label in labels:
        lacking = [
            classes.names[pool] for pool in np.flatnonzero(weights[label, :-1]) if sizes[pool] <= (pool == label)
        ]
        if lacking or not weights[label].any():
            raise InputError(
                f"an image of class {classes.names[label]} should get the background of another photo of class "
                f"{lacking[0] if lacking else 'any but its own'}, and there is none: raise render.per_class.train, or "
                "change background.by or background_from"
            )
