"""The shape of scores/leak.json: what the report reads of it is checked."""

from pydantic import Field

from models.evaluation.corruption_shapes import Rate, Result


class Accuracy(Result):
    """An accuracy with its interval."""

    accuracy: Rate
    correct: int = Field(ge=0)
    count: int = Field(ge=1)
    interval: tuple[Rate, Rate]


class Gap(Result):
    """A difference of two rates on the same photos, with its interval."""

    gap: float = Field(ge=-1, le=1)
    interval: tuple[float, float]
    pairs: int = Field(ge=1)


class HoleLeak(Gap):
    """How much more often the object's class is answered where its hole is."""

    with_hole: Rate
    without_hole: Rate


class ModelLeak(Result):
    """What one model reads from one source's backgrounds."""

    accuracy: Accuracy
    against: Gap | None
    holes: HoleLeak | None


class Found(Result):
    """How much of the objects a segmenter finds."""

    share: Rate
    interval: tuple[float, float]
    anything_found: Rate
    count: int = Field(ge=1)


class SourceLeak(Result):
    """One source, and what is still found in it (None: nobody looked); `why` says why there are no numbers."""

    kind: str
    method: str | None
    images: int = Field(ge=0)
    found: Found | None
    why: str | None


class SeedLeak(Result):
    """One seed in brief: accuracy and hole leak by source."""

    seed: int
    checkpoint_sha256: str
    sources: dict[str, dict[str, float | None]]


class RecipeLeak(Result):
    """A recipe: the first seed's numbers by source, and each seed's in brief."""

    checkpoint_sha256: str
    sources: dict[str, ModelLeak]
    seeds: list[SeedLeak] = Field(min_length=1)


class LeakScores(Result):
    """scores/leak.json; `segmenter` looked for the objects (None: none could), and `originals` is what it finds where
    they still stand.
    """

    split: str
    chance: Rate
    photos: int = Field(ge=0)
    segmenter: str | None
    originals: Found | None
    sources: dict[str, SourceLeak]
    recipes: dict[str, RecipeLeak]
