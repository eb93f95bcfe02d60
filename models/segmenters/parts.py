"""From a model's name to the network that finds boxes, or to the one that makes masks of them.

Each network is imported where it is named: none needs the packages of the others.
"""

from pathlib import Path
from typing import get_args

from models.segmenters.box_masks import MasksOfBoxes
from models.segmenters.settings import GroundingDinoSettings, MMDetectorName, Sam2Name, SamHQName, SamSettings
from models.segmenters.text_boxes import Detector


def load_masks(weights: Path, settings: SamSettings, *, device: str, batch: int = 1) -> MasksOfBoxes:
    """The network that `segment.sam.model` names, from `<weights>/<model>/`.

    Raises InputError where a file is missing, cut short or another network's.
    """
    if settings.model in get_args(Sam2Name):
        from models.segmenters.sam2 import load_sam2

        return load_sam2(weights, settings, device=device, batch=batch)
    if settings.model in get_args(SamHQName):
        from models.segmenters.sam_hq import load_sam_hq

        return load_sam_hq(weights, settings, device=device, batch=batch)
    from models.segmenters.sam import load_box_masks

    return load_box_masks(weights, settings, device=device, batch=batch)


def load_detector(weights: Path, settings: GroundingDinoSettings, *, device: str, batch: int = 1) -> Detector:
    """The network that `segment.grounding_dino.model` names, from `<weights>/<model>/` and BERT's vocabulary beside it.

    Raises InputError where a file is missing, cut short or another network's.
    """
    if settings.model in get_args(MMDetectorName):
        from models.segmenters.mm_grounding_dino import load_mm_grounding_dino

        return load_mm_grounding_dino(weights, settings, device=device, batch=batch)
    from models.segmenters.grounding_dino import load_grounding_dino

    return load_grounding_dino(weights, settings, device=device, batch=batch)
