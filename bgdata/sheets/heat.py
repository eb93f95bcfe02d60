"""A photo, or a map of attribution over it, as a picture of a sheet."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from bgdata.sheets.sheet import draw_outline

_OPACITY = 0.75


@dataclass(frozen=True)
class HeatCell:
    """One photo: RGB, its foreground's mask, a map in [0, 1] to draw over it (None: the photo itself), a caption."""

    image: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    heat: Float32[np.ndarray, "h w"] | None
    words: str

    @property
    def caption(self) -> tuple[str, ...]:
        """The lines below the picture."""
        return (self.words,)

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, its longer side `side` pixels."""
        scale = side / max(self.mask.shape)
        height, width = (max(round(edge * scale), 1) for edge in self.mask.shape)
        image = np.asarray(cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA))
        if self.heat is None:
            return image
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        levels = (cv2.resize(self.heat, (width, height), interpolation=cv2.INTER_AREA) * 255).round().astype(np.uint8)
        colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        picture = np.asarray(cv2.addWeighted(colours, _OPACITY, grey, 1 - _OPACITY, 0))
        draw_outline(picture, self.mask)
        return picture
