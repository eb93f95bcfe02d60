"""A classifier as the judges see it: images in [0, 1] in, evidence for the nine classes out."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bgdata.errors import InputError
from bgdata.labels import CLASS_COUNT, in9_label_by_imagenet_index
from models.classifiers.classifier import MEAN, STD, Classifier, resize_images

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IN9_MEAN, IN9_STD = MEAN, STD
IMAGENET_CLASSES = 1000


class Judged(nn.Module):
    """A network with what the judges need around it: its preprocessing, and which outputs speak for which class.

    `classes` is 9, or 1000 for ImageNet's classes in ImageNet's order. With 1000, a superclass is spoken for by the
    largest logit among its classes, and a tenth column by the largest of the 630 classes outside the nine: the argmax
    is the official evaluator's mapped prediction, -1 being column 9, which is nobody's label.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: int,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        size: int | None = None,
        nine_only: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = classes
        self.size = size
        self.nine_only = nine_only
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)
        for label, members in enumerate(_superclasses() if classes == IMAGENET_CLASSES else ()):
            self.register_buffer(f"members_{label}", torch.tensor(members), persistent=False)

    @property
    def has_outside(self) -> bool:
        """Whether the last column stands for what is none of the nine."""
        return self.classes == IMAGENET_CLASSES and not self.nine_only

    def prepare(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """The network's input, channels last, of RGB images in [0, 1]."""
        resized = images if self.size is None else resize_images(images, self.size)
        return ((resized - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """The network's own logits of RGB images in [0, 1].

        Raises InputError where the network fails, has another number of outputs than was said, or one is not finite.
        """
        return checked_logits(run_network(self.network, self.prepare(images)), self.classes)

    def class_logits(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
        """The largest logit of each of the nine classes, and (column 9, for ImageNet's classes) of all others."""
        if self.classes != IMAGENET_CLASSES:
            return logits
        return torch.stack([logits.index_select(1, members).amax(1) for members in self._members()], 1)

    def class_probabilities(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
        """The probability (softmax over all outputs that count, summed by class) of each column of `class_logits`."""
        if self.classes != IMAGENET_CLASSES:
            return logits.softmax(1)
        masses = torch.stack([logits.index_select(1, members).logsumexp(1) for members in self._members()], 1)
        return masses.softmax(1)

    def _members(self) -> list[Tensor]:
        return [self.get_buffer(f"members_{label}") for label in range(CLASS_COUNT + self.has_outside)]

    def among_nine(self) -> "Judged":
        """The same classifier made to choose among the nine classes: outputs outside them count for nothing."""
        twin = Judged(self.network, classes=self.classes, size=self.size, nine_only=True)
        twin.mean, twin.std = self.mean, self.std
        return twin.to(self.mean.device).train(self.training)


def judged_classifier(classifier: Classifier) -> Judged:
    """One of our own classifiers, as the judges see it."""
    return Judged(
        classifier.network,
        classes=classifier.classes,
        mean=classifier.mean.flatten().tolist(),
        std=classifier.std.flatten().tolist(),
        size=classifier.input_size,
    )


def run_network(network: nn.Module, images: Tensor) -> Any:
    """What a network gives for its input.

    Raises InputError where its code fails, as most do on images of a size that they were not made for.
    """
    try:
        return network(images)
    except InputError:
        raise
    except Exception as error:  # anybody's code, which fails as it likes
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"the model fails on images {'x'.join(map(str, images.shape))} ({said}): give the --size that it was made "
            "for, a smaller --batch where memory is short, or mend its code"
        ) from error


def checked_logits(logits: Tensor, classes: int) -> Tensor:
    """The logits, if they are `B classes` and finite.

    Raises InputError otherwise.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] != classes:
        found = "x".join(map(str, logits.shape[1:])) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the model gives {found} outputs an image, expected {classes}: say which classes it has "
            f"({CLASS_COUNT}: --in9, {IMAGENET_CLASSES}: without), or give a model that has them"
        )
    if not torch.isfinite(logits).all():
        raise InputError("the model gives logits that are not finite: its weights or its normalisation are wrong")
    return logits


def _superclasses() -> list[list[int]]:
    """ImageNet's class indices by IN-9 label; last those of none."""
    members: list[list[int]] = [[] for _ in range(CLASS_COUNT + 1)]
    for index, label in enumerate(in9_label_by_imagenet_index()):
        members[CLASS_COUNT if label is None else label].append(index)
    return members
