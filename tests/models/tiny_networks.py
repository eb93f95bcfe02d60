"""GroundingDINO and SAM with random weights: the packages' own classes, with few and narrow layers or as published."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from models.segmenters.grounding_dino_network import CONFIGS, build_network, quietly

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = ("red", "blue", "green", "circle", "square", "tench", "fish", "dog", "bird", "wheeled", "vehicle", "water")


def write_bert(folder: Path, *, vocabulary: int = 1100, **sizes: int) -> Path:
    """A BERT folder; [CLS] [SEP] . ? have bert-base-uncased's ids. `sizes` are BertConfig's, tiny unless told."""
    special = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    words = iter([*LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS])
    tokens = [special.get(place) or next(words, f"[unused{place}]") for place in range(vocabulary)]
    tiny = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    config = {"model_type": "bert", "vocab_size": vocabulary} | (sizes or tiny)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def draw_weights(network: nn.Module, seed: int) -> nn.Module:
    """The network with what starts as zeros drawn too, so that every part has a say."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in network.parameters():
            if not parameter.detach().any():
                nn.init.normal_(parameter, std=0.02)
    return network.eval()


def tiny_grounding_dino(bert: Path, *, seed: int = 0, **overrides: Any) -> nn.Module:
    """GroundingDINO of one encoder and one decoder layer on a Swin of one block a stage; 1.6 M parameters."""
    layers = {"enc_layers": 1, "dec_layers": 1, "num_queries": 30, "dim_feedforward": 64, "fusion_droppath": 0.0}
    with torch.random.fork_rng(devices=[]), quietly():
        torch.manual_seed(seed)
        network = build_network(CONFIGS["groundingdino_swint_ogc"] | layers | overrides, bert)
        swin = type(network.backbone[0])
        network.backbone[0] = swin(embed_dim=24, depths=[1] * 4, num_heads=[1, 2, 4, 8], out_indices=(1, 2, 3))
        for projection, channels in zip(network.input_proj, (48, 96, 192, 192), strict=True):
            old = projection[0]
            projection[0] = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    return draw_weights(network, seed)


def real_networks(bert: Path) -> tuple[nn.Module, Sam]:
    """SwinT-OGC with BERT-base (written to `bert`) and SAM ViT-B, at full size."""
    write_bert(bert, vocabulary=30522, hidden_size=768)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dino = build_network(CONFIGS["groundingdino_swint_ogc"], bert)
        sam = sam_model_registry["vit_b"]()
    return quieten_text(draw_weights(dino, 0), 0.01), draw_weights(sam, 0)


def quieten_text(network: nn.Module, scale: float) -> nn.Module:
    """Random features match random words by hundreds; near zero, scores differ and thresholds part them."""
    nn.init.constant_(network.transformer.encoder.text_layers[-1].norm2.weight, scale)
    return network


def tiny_sam(*, side: int = 1024, patch: int = 16, width: int = 32, seed: int = 0) -> Sam:
    """SAM with an image encoder of two narrow layers that sees `side` x `side` pixels."""
    grid = side // patch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = Sam(
            image_encoder=ImageEncoderViT(
                img_size=side,
                patch_size=patch,
                embed_dim=width,
                depth=2,
                num_heads=2,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                use_rel_pos=True,
                window_size=14,
                global_attn_indexes=(1,),
            ),
            prompt_encoder=PromptEncoder(256, (grid, grid), (side, side), mask_in_chans=16),
            mask_decoder=MaskDecoder(
                transformer_dim=256,
                transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=128, num_heads=8),
            ),
        )
    return draw_weights(sam, seed)
