"""GroundingDINO's network, built from the package without its hub and without its two faults."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from bgdata.errors import InputError
from models.segmenters.text_encoder import TextEncoder, build_bert, load_tokenizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the package (0.4.0) is older than timm's paths and Python's rule on backslashes
    from groundingdino.config import GroundingDINO_SwinB_cfg, GroundingDINO_SwinT_OGC
    from groundingdino.models import build_model
    from groundingdino.models.GroundingDINO import groundingdino as architecture
    from groundingdino.models.GroundingDINO.groundingdino import GroundingDINO as GroundingDINO
    from groundingdino.util import get_tokenlizer

CONFIGS: dict[str, dict[str, Any]] = {
    "groundingdino_swint_ogc": vars(GroundingDINO_SwinT_OGC),
    "groundingdino_swinb_cogcoor": vars(GroundingDINO_SwinB_cfg),
}


@contextmanager
def quietly() -> Iterator[None]:
    """Around building and running the network: the package calls two functions in old ways that change no number."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
        warnings.filterwarnings("ignore", ".*torch.cuda.amp.autocast", FutureWarning)
        yield


def build_network(config: dict[str, Any], bert: Path) -> GroundingDINO:
    """The package's network by one of its configs, around a BERT folder's tokenizer and architecture; weights as drawn.

    Differs from the package's: our text encoder; no gradient checkpoints (same numbers, and they warn); captions of
    several photos in one batch keep to their own mask, where the package mixes up heads and photos.
    """
    tokenizer = load_tokenizer(bert)
    with torch.random.fork_rng(devices=[]):
        language = build_bert(bert)
        _check_sizes(bert, len(tokenizer), language.config.vocab_size)
        with _swapped(tokenizer, language), quietly():
            network = build_model(SimpleNamespace(**config | {"use_checkpoint": False, "use_transformer_ckpt": False}))
    for layer in network.transformer.encoder.text_layers:
        layer.register_forward_pre_hook(_mask_by_photo, with_kwargs=True)
    return network.eval()


def _check_sizes(bert: Path, tokens: int, embeddings: int) -> None:
    if tokens != embeddings:
        raise InputError(
            f"{bert} holds a vocab.txt of {tokens} tokens and a config.json for {embeddings}: fetch both from one place"
        )


@contextmanager
def _swapped(tokenizer: Any, language: nn.Module) -> Iterator[None]:
    """The package fetches BERT by its name while a network is built: give it ours, and put all back."""
    swaps = (
        (architecture, "BertModelWarper", TextEncoder),
        (get_tokenlizer, "get_tokenlizer", lambda _: tokenizer),
        (get_tokenlizer, "get_pretrained_language_model", lambda _: language),
    )
    before = [getattr(module, name) for module, name, _ in swaps]
    try:
        for module, name, ours in swaps:
            setattr(module, name, ours)
        yield
    finally:
        for (module, name, _), original in zip(swaps, before, strict=True):
            setattr(module, name, original)


def _mask_by_photo(layer: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Repeat each photo's mask for its heads: the layer repeats the batch, and attention reads photo by photo.

    Source: groundingdino-py 0.4.0, `transformer_vanilla.py`, whose results are wrong for captions that differ.
    """
    return positional, named | {"src_mask": named["src_mask"].repeat_interleave(layer.nhead, 0)}
