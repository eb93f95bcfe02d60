"""A stand-in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bgdata.compose.fill import Filler
from bgdata.compose.settings import FilledSettings


@dataclass(frozen=True)
class _Telea:
    radius: float

    def fill(self, images: Any, holes: Any) -> list[Any]:
        return [
            cv2.inpaint(image, hole.view(np.uint8), self.radius, cv2.INPAINT_TELEA)
            for image, hole in zip(images, holes, strict=True)
        ]


def load_filler(settings: FilledSettings, *, weights: Path, device: str) -> Filler:
    """A filler."""
    return _Telea(settings.radius)
