"""What becomes of the backgrounds of a batch: replaced, blurred, or doubled for the parts that compare."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from torch import Generator, Tensor

from bgdata.compose.paste import feathered, paste_foreground
from bgdata.compose.place import draw_place, move_foreground
from bgdata.compose.settings import PlacementSettings
from models.training.chances import Chance
from models.training.choices import Choice
from models.training.data import Backgrounds, as_batch, at_rest
from models.training.parts import Drawn, Predict, Treatment

# torchvision's default for 7 pixels: 0.3 * ((7 - 1) * 0.5 - 1) + 0.8.
_KERNEL = cv2.getGaussianKernel(7, 1.4, cv2.CV_32F)


@dataclass(frozen=True)
class Looks:
    """How foregrounds stand before other backgrounds: where and how large (None: as they are), and with which edge
    (`feather`: sigma of a soft one, pixels; None: hard).
    """

    placement: PlacementSettings | None = None
    feather: float | None = None

    def seen(
        self, images: UInt8[np.ndarray, "c s s 3"], masks: Bool[np.ndarray, "c s s"], generator: Generator
    ) -> tuple[UInt8[np.ndarray, "c s s 3"], np.ndarray, Bool[np.ndarray, "c s s"] | None]:
        """The foregrounds, their alphas (the hard masks, or soft ones), and their masks where these moved; three draws
        an image where it moves.
        """
        alphas: list[Any] = list(masks)
        if self.feather is not None:
            alphas = [feathered(mask, self.feather) for mask in masks]
        if self.placement is None:
            return images, masks if self.feather is None else np.stack(alphas), None
        draws = torch.rand(len(images), 3, generator=generator, dtype=torch.float64).tolist()
        places = [draw_place(self.placement, of_image) for of_image in draws]
        moved = [move_foreground(*cells) for cells in zip(images, alphas, places, strict=True)]
        there = np.stack([alpha for _, alpha in moved])
        return np.stack([image for image, _ in moved]), there, there if self.feather is None else there >= 0.5


class Change(Treatment):
    """With the probability of its class, an image's background becomes what `background_of` says."""

    def __init__(self, chance: Chance, looks: "Looks | None" = None) -> None:
        super().__init__()
        self.chance = chance
        self.looks = looks or Looks()

    def forward(self, drawn: Drawn, generator: Generator) -> Drawn:
        """The batch with some of its backgrounds changed, and their classes; two draws an image."""
        draws = torch.rand(2, len(drawn.indices), generator=generator, dtype=torch.float64)
        (chosen,) = np.nonzero((draws[0] < self.chance.by_class[drawn.labels]).numpy())
        if not len(chosen):
            return drawn
        assert drawn.masks is not None, "a change of backgrounds needs masks"
        backgrounds, background_labels = self.background_of(drawn, chosen, draws[1].numpy())
        images, labels = at_rest(drawn.images).copy(), drawn.background_labels.clone()
        foregrounds, alphas, masks = self.looks.seen(images[chosen], drawn.masks[:, 0].numpy()[chosen], generator)
        images[chosen] = paste_foregrounds(backgrounds, foregrounds, alphas)
        labels[chosen] = torch.from_numpy(background_labels)
        changed = dataclasses.replace(drawn, images=as_batch(images), background_labels=labels)
        return changed if masks is None else dataclasses.replace(changed, masks=_with(drawn.masks, chosen, masks))

    def background_of(
        self, drawn: Drawn, chosen: Int64[np.ndarray, " c"], draws: Float64[np.ndarray, " b"]
    ) -> tuple[UInt8[np.ndarray, "c s s 3"], Int64[np.ndarray, " c"]]:
        """The new backgrounds of the chosen images, and their classes."""
        raise NotImplementedError

    def after_epoch(self, predict: Predict) -> None:
        """Pass it on."""
        self.chance.after_epoch(predict)

    def figures(self) -> dict[str, float]:
        """Those of the probability."""
        return self.chance.figures()


class Replacement(Change):
    """Dynamic replacement: the background becomes one that `choose` picks from those of the photos.

    Source: the dynamic replacement of the WUST system (a random `only_bg_t` behind each foreground, drawn anew each
    time an image is shown).
    """

    def __init__(self, backgrounds: Backgrounds, choose: Choice, chance: Chance, looks: "Looks | None" = None) -> None:
        super().__init__(chance, looks)
        self.backgrounds, self.choose = backgrounds, choose

    def background_of(
        self, drawn: Drawn, chosen: Int64[np.ndarray, " c"], draws: Float64[np.ndarray, " b"]
    ) -> tuple[UInt8[np.ndarray, "c s s 3"], Int64[np.ndarray, " c"]]:
        """Backgrounds of other photos."""
        others = self.choose(drawn.indices, drawn.labels.numpy(), draws)[chosen]
        return self.backgrounds.pixels[others], self.backgrounds.labels[others]


class Blur(Change):
    """The background is blurred by a gaussian of 7 pixels. Source: the background blur of the WUST system."""

    def background_of(
        self,
        drawn: Drawn,
        chosen: Int64[np.ndarray, " c"],
        draws: Float64[np.ndarray, " b"],  # noqa: ARG002  # a Change's
    ) -> tuple[UInt8[np.ndarray, "c s s 3"], Int64[np.ndarray, " c"]]:
        """The images' own."""
        assert drawn.masks is not None, "a change of backgrounds needs masks"
        blurred = blur_background(at_rest(drawn.images)[chosen], drawn.masks[:, 0].numpy()[chosen])
        return blurred, drawn.background_labels.numpy()[chosen]


class Twins(Treatment):
    """A treatment, and `twins` by a second one: the foregrounds of the batch on other backgrounds than its own."""

    def __init__(self, treat: Treatment, twin: Replacement) -> None:
        super().__init__()
        self.treat, self.twin = treat, twin

    def forward(self, drawn: Drawn, generator: Generator) -> Drawn:
        """The treated batch with twins, which are drawn after it."""
        treated = self.treat(drawn, generator)
        return dataclasses.replace(treated, twins=self.twin(drawn, generator).images)

    def after_epoch(self, predict: Predict) -> None:
        """Pass it on."""
        self.treat.after_epoch(predict)

    def figures(self) -> dict[str, float]:
        """Those of the treatment."""
        return self.treat.figures()


def _with(masks: Bool[Tensor, "b 1 s s"], chosen: Int64[np.ndarray, " c"], moved: np.ndarray) -> Tensor:
    """The batch's masks, those of the chosen images in place of their own."""
    changed = masks.clone()
    changed[torch.from_numpy(chosen), 0] = torch.from_numpy(moved)
    return changed


def paste_foregrounds(
    backgrounds: UInt8[np.ndarray, "b h w 3"],
    foregrounds: UInt8[np.ndarray, "b h w 3"],
    masks: Bool[np.ndarray, "b h w"] | Float32[np.ndarray, "b h w"],
) -> UInt8[np.ndarray, "b h w 3"]:
    """Composite a batch at rest in one call, as one tall image: three times as fast as on tensors."""
    tall = (-1, backgrounds.shape[2], 3)
    pasted = paste_foreground(backgrounds.reshape(tall), foregrounds.reshape(tall), masks.reshape(tall[:2]))
    return pasted.reshape(backgrounds.shape)


def blur_background(
    images: UInt8[np.ndarray, "b h w 3"], masks: Bool[np.ndarray, "b h w"]
) -> UInt8[np.ndarray, "b h w 3"]:
    """Blur by a gaussian of 7 pixels (sigma 1.4) in which only background takes part: blur(image) / blur(weight).

    Pixels of the foreground hold anything. One call blurs all images, stacked; rows without weight between them, and
    none outside, keep each to itself. Source: normalised convolution (Knutsson and Westin 1993); torchvision's
    `gaussian_blur` is the same where all is background, but for the mirrored border, and 12 times slower.
    """
    count, height, width = masks.shape
    gap = len(_KERNEL) // 2
    weight = np.zeros((count, height + gap, width), np.uint8)
    weight[:, :height] = ~masks
    stacked = np.zeros((*weight.shape, 3), np.uint8)
    stacked[:, :height] = images
    weight = weight.reshape(-1, width)
    colours = cv2.copyTo(stacked.reshape(-1, width, 3), weight)
    sums, weights = (
        cv2.sepFilter2D(layer, cv2.CV_32F, _KERNEL, _KERNEL, borderType=cv2.BORDER_CONSTANT)
        for layer in (colours, weight)
    )
    blurred = cv2.divide(sums, cv2.merge((weights, weights, weights)), dtype=cv2.CV_8U)
    return np.ascontiguousarray(blurred.reshape(stacked.shape)[:, :height])
