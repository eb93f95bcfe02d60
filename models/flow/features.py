"""Features of photos and of their copies on other backgrounds, computed once: the backbone does not change."""

import copy
import dataclasses

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from models.classifiers.classifier import Classifier
from models.classifiers.heads import find_head
from models.devices import autocast, exact_arithmetic
from models.flow.network import FlowHead
from models.training.batches import augmented, generator_of
from models.training.data import as_batch
from models.training.recipes import Recipe
from models.training.run import Run
from models.training.settings import LoopSettings


def take_apart(classifier: Classifier) -> tuple[Classifier, FlowHead]:
    """A copy of the classifier that gives features, in evaluation mode, and its own flow head."""
    name = find_head(classifier.network)
    head = classifier.network.get_submodule(name)
    assert isinstance(head, FlowHead)
    backbone = copy.deepcopy(classifier).eval().requires_grad_(False)
    parent, _, child = name.rpartition(".")
    setattr(backbone.network.get_submodule(parent), child, nn.Identity())
    return backbone, head


def paired_features(
    backbone: Classifier,
    recipe: Recipe,
    settings: LoopSettings,
    run: Run,
    *,
    copies: int,
    label: str,
) -> list[Float32[np.ndarray, "n 2 d"]]:
    """For each copy the features of every photo and of itself as `recipe` treats it, under one and the same crop.

    Mapped from `run.folder`, where a killed run finds the copies that it finished.
    """
    paths = [run.folder / f"features-{number}.npy" for number in range(copies)]
    for number, path in enumerate(paths):
        if not path.is_file():
            found = _view(backbone, recipe, settings, run, number=number, label=label)
            partial = path.with_name(f"{path.name}.tmp")
            with partial.open("wb") as file:
                np.save(file, found)
            partial.replace(path)
    return [np.load(path, mmap_mode="r") for path in paths]


def image_features(
    backbone: Classifier, images: UInt8[np.ndarray, "n s s 3"], *, batch: int, precision: torch.dtype
) -> Float32[Tensor, "n d"]:
    """The features of images as they are, on the CPU."""
    parts = []
    for start in range(0, len(images), batch):
        pixels = as_batch(np.array(images[start : start + batch]))
        parts.append(_features(backbone, pixels.to(backbone.mean.device).float().div_(255), precision))
    return torch.cat(parts)


def _view(
    backbone: Classifier,
    recipe: Recipe,
    settings: LoopSettings,
    run: Run,
    *,
    number: int,
    label: str,
) -> Float32[np.ndarray, "n 2 d"]:
    """One copy of all photos."""
    background, crops = (generator_of(run.seed, f"copy {number}", word) for word in ("background", "augment"))
    count, size, parts = len(recipe.data.pixels), settings.batch_size, []
    for start in tqdm(range(0, count, size), desc=f"{label}, copy {number + 1}", unit="batch", mininterval=1.0):
        drawn = recipe.data.draw(np.arange(start, min(start + size, count)))
        pair = dataclasses.replace(drawn, masks=None, twins=recipe.treat(drawn, background).images)
        batch = augmented(pair, recipe.data.targets, crops, settings, device=run.device)
        assert batch.twins is not None
        found = _features(backbone, torch.cat((batch.images, batch.twins)), run.precision)
        parts.append(found.view(2, len(drawn.indices), -1).transpose(0, 1))
    return torch.cat(parts).numpy()


@torch.inference_mode()
def _features(backbone: Classifier, images: Float32[Tensor, "b 3 s s"], precision: torch.dtype) -> Tensor:
    with autocast(images.device, precision), exact_arithmetic():
        return backbone(images).float().cpu()
