"""From the settings to a segmenter. Networks are imported where one is built: GrabCut's workers need no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgdata.errors import InputError
from bgdata.shards import ImageSet
from models.segmenters.base import Segmenter
from models.segmenters.given import GivenMasks
from models.segmenters.grabcut import GrabCut
from models.segmenters.grabcut_fast import GrabCutFast
from models.segmenters.settings import SECTIONS, Method, SegmentJob

# These run in one process, on one device; the others in as many processes as there are cores.
NETWORKS: tuple[Method, ...] = ("grounded_sam", "sam_boxes", "sam3", "unet")


@dataclass(frozen=True)
class Means:
    """What a segmenter may draw on: the folder of fetched weights, the device of its networks, photos in one pass."""

    weights: Path = Path("weights")
    device: str = "cpu"
    batch: int = 8


ON_CPU = Means()


def build_segmenter(
    settings: SegmentJob, *, seed: int, given: ImageSet | None = None, means: Means = ON_CPU
) -> Segmenter:
    """The segmenter that `settings.method` names; `given` is the set of masks that came with the data.

    Raises InputError where the method's section, the masks that came with the data, or its weights are missing.
    """
    for section in SECTIONS[settings.method]:
        if getattr(settings, section) is None:
            raise InputError(f"segment.method is `{settings.method}`, but segment.{section} is missing: add it")
    return _BUILDERS[settings.method](settings, seed, given, means)


def _given(_: SegmentJob, __: int, given: ImageSet | None, ___: Means) -> Segmenter:
    if given is None or not given.manifest["shards"]:
        raise InputError(
            "segment.method is `given`, but no mask came with the data: put them into "
            "masks/{train/<wnid>,val}/<stem>.png beside ILSVRC/ and run fetch and ingest again, or set segment.method "
            "to another"
        )
    return GivenMasks(given)


def _grabcut(settings: SegmentJob, seed: int, _: ImageSet | None, __: Means) -> Segmenter:
    assert settings.grabcut, "checked by build_segmenter"
    return GrabCut(iterations=settings.grabcut.iterations, seed=seed)


def _grabcut_fast(settings: SegmentJob, seed: int, _: ImageSet | None, __: Means) -> Segmenter:
    fast = settings.grabcut_fast
    assert fast, "checked by build_segmenter"
    return GrabCutFast(iterations=fast.iterations, band=fast.band, seed=seed)


def _grounded_sam(settings: SegmentJob, _: int, __: ImageSet | None, means: Means) -> Segmenter:
    from models.segmenters.grounded_sam import load_grounded_sam

    assert settings.grounding_dino and settings.sam, "checked by build_segmenter"
    return load_grounded_sam(
        means.weights,
        settings.grounding_dino,
        settings.sam,
        device=means.device,
        batch=means.batch,
        candidates=_candidates(settings),
    )


def _sam_boxes(settings: SegmentJob, _: int, __: ImageSet | None, means: Means) -> Segmenter:
    from models.segmenters.sam_boxes import load_sam_boxes

    assert settings.sam, "checked by build_segmenter"
    return load_sam_boxes(
        means.weights, settings.sam, device=means.device, batch=means.batch, candidates=_candidates(settings)
    )


def _sam3(settings: SegmentJob, _: int, __: ImageSet | None, means: Means) -> Segmenter:
    from models.segmenters.sam3 import load_sam3

    assert settings.sam3, "checked by build_segmenter"
    return load_sam3(
        means.weights, settings.sam3, device=means.device, batch=means.batch, candidates=_candidates(settings)
    )


def _unet(settings: SegmentJob, _: int, __: ImageSet | None, means: Means) -> Segmenter:
    if settings.unet is None or settings.unet.checkpoint is None:
        raise InputError("segment.method is `unet`: set segment.unet.checkpoint to a copy of a runs/unet/model.pt")
    from models.segmenters.unet import load_unet

    return load_unet(Path(settings.unet.checkpoint), device=means.device)


def _candidates(settings: SegmentJob) -> int:
    """How many masks a photo are asked for: none where the method's own choice counts."""
    return settings.choose.keep if settings.choose is not None and settings.choose.by == "leak" else 0


_BUILDERS: dict[Method, Callable[[SegmentJob, int, ImageSet | None, Means], Segmenter]] = {
    "given": _given,
    "grabcut": _grabcut,
    "grabcut_fast": _grabcut_fast,
    "grounded_sam": _grounded_sam,
    "sam_boxes": _sam_boxes,
    "sam3": _sam3,
    "unet": _unet,
}
