"""Classifiers: networks of torchvision and timm, with resizing and normalisation inside."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name that everyone knows it by
import torchvision
from jaxtyping import Float32
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from bgdata.errors import InputError
from models.classifiers.heads import head_keys, replace_head
from models.classifiers.libraries import published, resolve_name
from models.weights.files import load_weights
from models.weights.states import is_program, read_weights

# ImageNet-9's own statistics (Xiao et al. 2021, the evaluator's for nine-class models).
MEAN = (0.4717, 0.4499, 0.3837)
STD = (0.2600, 0.2516, 0.2575)

# Small networks of our own: how many of ResNet-18's stages they have, each with one block.
SMALL = {"resnet8": 3, "resnet10": 4}
# These return several outputs while training, or accept one image size only.
_UNFIT = ("googlenet", "inception_v3", "maxvit_t")


class Classifier(nn.Module):
    """A network with its input's conventions inside: images of any size in [0, 1] in, logits out."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, arch: str, classes: int, input_size: int) -> None:
        super().__init__()
        self.network = network
        self.arch = arch
        self.head: dict[str, Any] | None = None
        self.classes = classes
        self.input_size = input_size
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Float32[Tensor, "b 3 h w"]) -> Tensor:
        """Logits, `B classes`, of RGB images in [0, 1]."""
        resized = resize_images(images, self.input_size)
        normalised = (resized - self.mean) / self.std
        return self.network(normalised.contiguous(memory_format=torch.channels_last))

    @property
    def head_names(self) -> set[str]:
        """The names of the head's parameters among the classifier's."""
        return {f"network.{key}" for key in head_keys(self.network)}

    def replace_head(self, head: Mapping[str, Any]) -> None:
        """Give the network a new head (see `models.classifiers.heads`), which the checkpoint remembers."""
        replace_head(self.network, head, classes=self.classes)
        self.head = dict(head)


def resize_images(images: Float32[Tensor, "b c h w"], size: int) -> Float32[Tensor, "b c {size} {size}"]:
    """Resize to `size` x `size` as `bgdata.geometry.resize_pixels` does: area averages down, bilinear up.

    Area averaging weighs each source pixel by how much of it is covered (cv2.INTER_AREA; torch's own `area` does not).
    """
    height, width = images.shape[-2:]
    if (height, width) == (size, size):
        return images
    if size > height or size > width:
        return F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    rows, columns = (_area_weights(side, size, images.device) for side in (height, width))
    lines = rows @ images.permute(0, 2, 3, 1).flatten(2)  # b size (w c): images at rest lie channels last
    return torch.einsum("bhwc,vw->bchv", lines.view(len(images), size, width, -1), columns)


def _area_weights(source: int, target: int, device: torch.device) -> Float32[Tensor, "{target} {source}"]:
    """How much of each source pixel lies in each target pixel; rows sum to 1."""
    scale = source / target
    start = torch.arange(target, device=device, dtype=torch.float64)[:, None] * scale
    pixel = torch.arange(source, device=device, dtype=torch.float64)
    covered = torch.minimum(start + scale, pixel + 1) - torch.maximum(start, pixel)
    return (covered.clamp(min=0) / scale).float()


def build_classifier(
    arch: str,
    *,
    input_size: int,
    classes: int,
    weights: str | None = None,
    head: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Classifier:
    """A classifier by name: `resnet8` or `resnet10`, torchvision's or timm's (`timm:resnet26d`).

    `classes` is the number of outputs. `weights` is a local file (see `models.weights.states`) or the name of
    published ones (torchvision's IMAGENET1K_V2, timm's a1_in1k); a head for another number of classes is replaced by a
    new one, anything else must fit. `head` takes the place of the network's own. `seed` draws what is new.

    Raises InputError where the name is unknown or the weights do not fit, listing the keys.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _build_network(arch, classes, input_size)
        classifier = Classifier(network, arch=arch, classes=classes, input_size=input_size)
        if weights is not None:
            state = _start_weights(arch, weights, input_size, network)
            load_weights(network, state, source=weights, resizable=head_keys(network))
        if head is not None:
            classifier.replace_head(head)
    return classifier.to(memory_format=torch.channels_last)


def _build_network(arch: str, classes: int, input_size: int) -> nn.Module:
    if arch in SMALL:
        return _build_small(SMALL[arch], classes)
    library, name = resolve_name(arch, without=_UNFIT, ours=SMALL)
    if library == "timm":
        return _build_timm(name, input_size, num_classes=classes)
    sized = {"image_size": input_size} if name.startswith("vit_") else {}
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **sized)


def _build_small(stages: int, classes: int) -> nn.Module:
    """One basic block a stage; at 64 pixels the fourth stage sees four places, and is most of the weights."""
    network = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=classes)
    if stages == 3:
        network.layer4 = nn.Identity()
        network.fc = nn.Linear(network.fc.in_features // 2, classes)
    return network


def _build_timm(name: str, input_size: int, **how: Any) -> nn.Module:
    """A network of timm's; one that is made for a size is made for this one, position embeddings resampled."""
    import timm  # here, as it takes seconds, and most classifiers are not its
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(name)
    if settings is not None and settings.fixed_input_size:
        how["img_size"] = input_size
    return timm.create_model(name, **how)


def _start_weights(arch: str, weights: str, input_size: int, network: nn.Module) -> Mapping[str, Tensor]:
    names = _published_weights(arch, input_size)
    if weights in names:
        return published(names[weights], arch, weights)
    if not Path(weights).is_file():
        listed = f", nor one of those published for {arch} ({', '.join(names)})" if names else ""
        raise InputError(f"train.weights is {weights!r}, which is no file{listed}")
    if is_program(Path(weights)):
        raise InputError(f"train.weights is {weights}, a program with its code: give a file of weights")
    ask = "save the one that is meant in a file of its own, and give that as train.weights"
    return read_weights(Path(weights), network, free=head_keys(network), ask=ask).state


def _published_weights(arch: str, input_size: int) -> dict[str, Callable[[], Mapping[str, Tensor]]]:
    """What downloads each of a network's published weights, by their names."""
    if arch in SMALL:
        return {}
    library, name = resolve_name(arch)
    if library == "torchvision":
        found = torchvision.models.get_model_weights(name).__members__
        return {key: partial(of.get_state_dict, progress=False, check_hash=True) for key, of in found.items()}
    from timm.models import get_arch_pretrained_cfgs

    tagged = {full.partition(".")[2]: full for full in get_arch_pretrained_cfgs(name)}
    return {tag: partial(_download_timm, full, input_size) for tag, full in tagged.items()}


def _download_timm(name: str, input_size: int) -> Mapping[str, Tensor]:
    return _build_timm(name, input_size, pretrained=True).state_dict()
