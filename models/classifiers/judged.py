"""A classifier as the judges see it: images in [0, 1] in, evidence for the classes of a list out."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bgdata.classes import ClassList
from bgdata.errors import InputError
from bgdata.prompts import imagenet_wnids
from models.classifiers.classifier import MEAN, STD, Classifier, resize_images

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IN9_MEAN, IN9_STD = MEAN, STD
IMAGENET_CLASSES = 1000


class Judged(nn.Module):
    """A network with what the judges need around it: its preprocessing, and which outputs speak for which class.

    `class_list` is what is judged (None: the outputs are features, which speak for no class). `classes` is the number
    of outputs: one for each class of the list in its order, or 1000 for ImageNet's in ImageNet's order, which speak
    for the list through its wnids (`by_wnid`; None: where there are 1000 outputs and not as many classes). Then a class
    is spoken for by the largest logit among its wnids, and one column more by the largest of all outputs outside the
    list, if there are any: with ImageNet-9 the argmax is the official evaluator's mapped prediction, -1 being column
    9, which is nobody's label.

    Raises InputError where the outputs cannot speak for the list.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        class_list: ClassList | None,
        classes: int,
        by_wnid: bool | None = None,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        size: int | None = None,
        nine_only: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.class_list = class_list
        self.classes = classes
        self.by_wnid = class_list is not None and _speaks_by_wnid(class_list, classes, by_wnid)
        self.size = size
        self.nine_only = nine_only
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)
        members = _members_by_wnid(class_list) if class_list is not None and self.by_wnid else []
        self._columns = len(members)
        for label, indices in enumerate(members):
            self.register_buffer(f"members_{label}", torch.tensor(indices), persistent=False)

    @property
    def labels(self) -> ClassList:
        """The list of classes that is judged.

        Raises InputError where the outputs are features.
        """
        if self.class_list is None:
            raise InputError("the network gives features, which no judge reads: fit a probe on them first")
        return self.class_list

    @property
    def has_outside(self) -> bool:
        """Whether the last column stands for what is none of the list."""
        return self.by_wnid and not self.nine_only and self._columns > len(self.labels)

    def prepare(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 s t"]:
        """The network's input, channels last, of RGB images in [0, 1]."""
        resized = images if self.size is None else resize_images(images, self.size)
        return ((resized - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c"]:
        """The network's own logits of RGB images in [0, 1].

        Raises InputError where the network fails, has another number of outputs than was said, or one is not finite.
        """
        return self.checked(run_network(self.network, self.prepare(images)))

    def checked(self, logits: Any) -> Float[Tensor, "b c"]:
        """Outputs of the network, if they are as many as was said, and finite.

        Raises InputError otherwise.
        """
        listed = self.classes if self.class_list is None else len(self.class_list)
        return checked_logits(logits, self.classes, listed=listed)

    def class_logits(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
        """The largest logit of each class of the list, and (one column more, `has_outside`) of all other outputs."""
        if not self.by_wnid:
            return logits
        return torch.stack([logits.index_select(1, members).amax(1) for members in self._members()], 1)

    def class_probabilities(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b k"]:
        """The probability (softmax over all outputs that count, summed by class) of each column of `class_logits`."""
        if not self.by_wnid:
            return logits.softmax(1)
        masses = torch.stack([logits.index_select(1, members).logsumexp(1) for members in self._members()], 1)
        return masses.softmax(1)

    def _members(self) -> list[Tensor]:
        return [self.get_buffer(f"members_{label}") for label in range(len(self.labels) + self.has_outside)]

    def among_nine(self) -> "Judged":
        """The same classifier made to choose among the classes of the list: outputs outside them count for nothing."""
        twin = Judged(
            self.network,
            class_list=self.class_list,
            classes=self.classes,
            by_wnid=self.by_wnid,
            size=self.size,
            nine_only=True,
        )
        twin.mean, twin.std = self.mean, self.std
        return twin.to(self.mean.device).train(self.training)


def judged_classifier(classifier: Classifier, class_list: ClassList) -> Judged:
    """One of our own classifiers, an output a class of the list, as the judges see it.

    Raises InputError where it has another number of outputs.
    """
    return Judged(
        classifier.network,
        class_list=class_list,
        classes=classifier.classes,
        by_wnid=False,
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


def checked_logits(logits: Any, classes: int, *, listed: int) -> Tensor:
    """The logits, if they are `B classes` and finite; `listed` is the number of classes that are judged.

    Raises InputError otherwise.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] != classes:
        found = "x".join(map(str, logits.shape[1:])) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the model gives {found} outputs an image, expected {classes}: say which classes it has "
            f"({listed}: --in9, {IMAGENET_CLASSES}: without), or give a model that has them"
        )
    if not torch.isfinite(logits).all():
        raise InputError("the model gives logits that are not finite: its weights or its normalisation are wrong")
    return logits


def _speaks_by_wnid(class_list: ClassList, classes: int, said: bool | None) -> bool:
    """Whether ImageNet's outputs speak for a list, rather than one of its own for each class."""
    by_wnid = classes == IMAGENET_CLASSES != len(class_list) if said is None else said
    expected = IMAGENET_CLASSES if by_wnid else len(class_list)
    if classes != expected:
        raise InputError(
            f"the model has {classes} outputs, expected {len(class_list)} (one for each class of {class_list.name}, "
            f"--in9) or ImageNet's {IMAGENET_CLASSES}: give a model that has them"
        )
    return by_wnid


def _members_by_wnid(class_list: ClassList) -> list[list[int]]:
    """ImageNet's class indices by label; last those outside the list, if there are any.

    Raises InputError where a class has no wnid, or one that is none of ImageNet's 1,000.
    """
    without = [name for name, wnids in zip(class_list.names, class_list.wnids, strict=True) if not wnids]
    if without:
        raise InputError(
            f"{class_list.describe()} has no wnids for {without[0]!r}, so the model's {IMAGENET_CLASSES} outputs "
            f"cannot speak for it: give a list with wnids, or a model of {len(class_list)} outputs with --in9"
        )
    known = imagenet_wnids()
    strange = sorted(set(class_list.label_by_wnid).difference(known))
    if strange:
        raise InputError(
            f"{strange[0]} of {class_list.describe()} is none of ImageNet's 1,000 wnids, so the model's "
            f"{IMAGENET_CLASSES} outputs cannot speak for it: take it out of the list, or give a model of "
            f"{len(class_list)} outputs with --in9"
        )
    members: list[list[int]] = [[] for _ in range(len(class_list) + 1)]
    for index, wnid in enumerate(known):
        members[class_list.label_by_wnid.get(wnid, len(class_list))].append(index)
    return members if members[-1] else members[:-1]
