"""What becomes of the backgrounds of a batch: replaced, blurred, or doubled for the parts that compare."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Generator

from bgdata.compose.paste import paste_foreground
from bgdata.errors import InputError
from models.training.data import as_batch
from models.training.parts import Drawn, Treatment


class Replacement(Treatment):
    """Dynamic replacement: with probability `p` an image's background becomes that of a random other photo.

    `own[i]` is where the background of image i's own photo lies in `backgrounds` (-1: nowhere), which it never gets.
    Source: the dynamic replacement of the WUST system (a random `only_bg_t` behind each foreground, drawn anew each
    time an image is shown).

    Raises InputError where there is no second background to draw.
    """

    def __init__(
        self,
        backgrounds: UInt8[np.ndarray, "m s s 3"],
        labels: Int64[np.ndarray, " m"],
        own: Int64[np.ndarray, " n"],
        *,
        p: float,
    ) -> None:
        super().__init__()
        if len(backgrounds) < 2:
            raise InputError("dynamic replacement needs at least two backgrounds: raise render.per_class.train")
        self.backgrounds, self.labels, self.own, self.p = backgrounds, labels, own, p

    def forward(self, drawn: Drawn, generator: Generator) -> Drawn:
        """The batch with some of its backgrounds replaced, and their classes."""
        draws = torch.rand(2, len(drawn.indices), generator=generator, dtype=torch.float64).numpy()
        (chosen,) = np.nonzero(draws[0] < self.p)
        if not len(chosen):
            return drawn
        own = self.own[drawn.indices[chosen]]
        others = (draws[1, chosen] * (len(self.backgrounds) - (own >= 0))).astype(np.int64)
        others += (own >= 0) & (others >= own)
        assert drawn.masks is not None, "replacement needs masks"
        images, labels = drawn.images.clone(), drawn.background_labels.clone()
        pasted = paste_foreground(as_batch(self.backgrounds[others]), images[chosen], drawn.masks[chosen])
        images[chosen], labels[chosen] = pasted, torch.from_numpy(self.labels[others])
        return dataclasses.replace(drawn, images=images, background_labels=labels)
