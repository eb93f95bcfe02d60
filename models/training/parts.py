"""What the loop and the parts of recipes hand to each other."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Generator, Tensor, nn

from models.classifiers.classifier import Classifier

# The class of each image under the classifier as it is now, of uint8 images at rest.
Predict = Callable[[UInt8[np.ndarray, "n s s 3"]], Int64[np.ndarray, " n"]]


@dataclass(frozen=True)
class Drawn:
    """A batch at rest, on the CPU, before it is augmented.

    `twins` are the same foregrounds on other backgrounds, for the parts that compare; None where no part does.
    """

    indices: Int64[np.ndarray, " b"]
    images: UInt8[Tensor, "b 3 s s"]
    masks: Bool[Tensor, "b 1 s s"] | None
    labels: Int64[Tensor, " b"]
    background_labels: Int64[Tensor, " b"]
    twins: UInt8[Tensor, "b 3 s s"] | None = None


@dataclass(frozen=True)
class Batch:
    """A batch as the network meets it: cropped, flipped and coloured, images in [0, 1], on the device.

    Masks and twins went through the same crops; a mask is 1 on the foreground, and between at its edge. `targets` are
    soft labels. `views` are augmented copies of the images, for the part that compares; None where no part does.
    """

    images: Float32[Tensor, "b 3 s s"]
    targets: Float32[Tensor, "b k"]
    labels: Int64[Tensor, " b"]
    background_labels: Int64[Tensor, " b"]
    masks: Float32[Tensor, "b 1 s s"] | None = None
    twins: Float32[Tensor, "b 3 s s"] | None = None
    views: Float32[Tensor, "b v 3 s s"] | None = None


class Part(nn.Module):
    """A part of a recipe. What it remembers from step to step lies in buffers, or extra state: both are kept."""

    def begin(self, classifier: Classifier) -> None:
        """Called before the first step, and before what a killed run remembered is put back."""

    def after_step(self, classifier: Classifier, progress: float) -> None:
        """Called after each step; `progress` is the share of the training that is done."""

    def after_epoch(self, predict: Predict) -> None:
        """Called after each epoch."""

    def figures(self) -> dict[str, float]:
        """Further columns of the history, the same in each epoch; called last in it."""
        return {}


class Treatment(Part):
    """What is done to the backgrounds of a batch before it is augmented; this one leaves them."""

    def forward(self, drawn: Drawn, generator: Generator) -> Drawn:  # noqa: ARG002  # for those that draw
        """The treated batch; `generator` is a CPU generator of this part's own."""
        return drawn


# A batch of mixed images with soft labels, of a batch.
Mixer = Callable[[Batch, Generator], Batch]
# A batch with augmented images, or with views of them, of a batch.
Augment = Callable[[Batch, Generator], Batch]


class Averaging(Part):
    """The weights that a training ends with; this one leaves them as they are."""

    def rate(self, scheduled: float, progress: float) -> float:  # noqa: ARG002  # for those with a rate of their own
        """The learning rate at this progress, given the scheduled one."""
        return scheduled

    def collect(self, classifier: Classifier, progress: float) -> None:
        """Called at the end of each epoch; `progress` is the share of the training that is done."""

    def finish(self, classifier: Classifier, refresh: Callable[[], None]) -> None:
        """Put the averaged weights into the classifier; `refresh` measures its batch statistics anew."""
