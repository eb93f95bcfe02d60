"""Opens a set with true masks by its name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bgdata.segmentation_sets.base import SegmentationSet
from bgdata.segmentation_sets.coco import CocoSet
from bgdata.segmentation_sets.davis import DavisSet
from bgdata.segmentation_sets.photos import PhotoSet
from bgdata.segmentation_sets.voc import VocSet
from bgdata.shards import ImageSet

PUBLIC_SETS: dict[str, Callable[..., SegmentationSet]] = {"coco": CocoSet, "voc": VocSet, "davis": DavisSet}


@contextmanager
def open_photo_set(sets: Path) -> Iterator[SegmentationSet]:
    """Our own photos with the masks that came with them, of the folder that holds `photos` and `given_masks`."""
    with ImageSet(sets / "photos") as photos, ImageSet(sets / "given_masks") as given:
        yield PhotoSet(photos, given)
