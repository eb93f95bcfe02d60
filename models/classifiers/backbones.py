"""Any model without its head: the features of its last layer but one."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from bgdata.errors import InputError
from models.classifiers.heads import MlpHead, find_head
from models.classifiers.judged import Judged
from models.classifiers.loading import (
    ModelSource,
    assemble_judged,
    check_checkpoint,
    complete_source,
    is_ours,
    load_judged,
    published_preparation,
)
from models.classifiers.published import build_network
from models.flow.network import FlowHead
from models.weights.files import load_weights
from models.weights.states import choose_weights, is_program, read_content


def load_backbone(source: ModelSource) -> tuple[Judged, dict[str, Any]]:
    """The model whose `network` gives features (`B D`) of prepared images, on the CPU in evaluation mode; its record.

    A checkpoint may hold a head of any number of classes, or none: it is dropped. What a Python function (`entry`)
    returns is taken as it is. How images are prepared is decided as `load_judged` does.

    Raises InputError where the model cannot be loaded, or has no head that can be taken off.
    """
    source = dataclasses.replace(complete_source(source), features=True)
    if source.entry is not None:
        backbone, record = load_judged(source)
    elif source.checkpoint is None:
        backbone, record = _headless(dataclasses.replace(source, in9=False))
    else:
        backbone, record = _from_checkpoint(source, source.checkpoint)
    return backbone, {key: value for key, value in record.items() if key != "classes"}


def take_off_head(network: nn.Module) -> nn.Module:
    """The network itself, its head gone: timm's by its own method, others' replaced by nothing.

    Raises InputError where its head is no linear layer.
    """
    if callable(reset := getattr(network, "reset_classifier", None)):
        reset(0)
        return network
    head = find_head(network)
    if not isinstance(network.get_submodule(head), nn.Linear | MlpHead | FlowHead):
        raise InputError(
            f"{type(network).__name__} has no linear head that can be taken off: "
            "give --entry module:function, a function that returns a network of features"
        )
    parent, _, leaf = head.rpartition(".")
    setattr(network.get_submodule(parent), leaf, nn.Identity())
    return network


def _headless(source: ModelSource) -> tuple[Judged, dict[str, Any]]:
    backbone, record = load_judged(source)
    backbone.network = take_off_head(backbone.network)
    return backbone, record


def _from_checkpoint(source: ModelSource, checkpoint: Path) -> tuple[Judged, dict[str, Any]]:
    check_checkpoint(source, checkpoint)
    if is_program(checkpoint):
        raise InputError(f"{checkpoint} is a program, whose head cannot be taken off: give weights, or --entry")
    content = read_content(checkpoint)
    if is_ours(content):
        return _headless(source)
    named = build_network(source.arch, classes=source.classes)
    whole = set(named.network.state_dict())
    network = take_off_head(named.network)
    head = whole - set(network.state_dict())
    weights = choose_weights(content, checkpoint, network, choice=source.choice, unneeded=head)
    load_weights(network, weights.state, source=str(checkpoint))
    record = {"arch": f"{named.library}:{named.arch}"} | dict(weights.record)
    return assemble_judged(network, published_preparation(named, weights, source), source, record)
