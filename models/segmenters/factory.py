"""From the settings to a segmenter."""

from collections.abc import Callable

from bgdata.errors import InputError
from bgdata.shards import ImageSet
from models.segmenters.base import Segmenter
from models.segmenters.given import GivenMasks
from models.segmenters.grabcut import GrabCut
from models.segmenters.settings import SegmentJob


def build_segmenter(settings: SegmentJob, *, seed: int, given: ImageSet | None = None) -> Segmenter:
    """The segmenter that `settings.method` names; `given` is the set of masks that came with the data.

    Raises InputError where the method needs the set and there is none.
    """
    return _BUILDERS[settings.method](settings, seed, given)


def _grabcut(settings: SegmentJob, seed: int, _: ImageSet | None) -> Segmenter:
    if settings.grabcut is None:
        raise InputError("segment.method is `grabcut`, but segment.grabcut is missing: give its iterations")
    return GrabCut(iterations=settings.grabcut.iterations, seed=seed)


def _given(_: SegmentJob, __: int, given: ImageSet | None) -> Segmenter:
    if given is None or not given.manifest["shards"]:
        raise InputError(
            "segment.method is `given`, but no mask came with the data: put them into "
            "masks/{train/<wnid>,val}/<stem>.png beside ILSVRC/ and run fetch and ingest again, or set segment.method "
            "to grabcut"
        )
    return GivenMasks(given)


_BUILDERS: dict[str, Callable[[SegmentJob, int, ImageSet | None], Segmenter]] = {
    "grabcut": _grabcut,
    "given": _given,
}
