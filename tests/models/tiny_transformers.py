"""Networks of transformers with random weights, few and narrow layers, and their folders as transformers saves them."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    PreTrainedModel,
    Sam2Config,
    Sam2Model,
    Sam3Config,
    Sam3Model,
    SamHQConfig,
    SamHQModel,
)
from transformers.utils import logging

from tests.models.tiny_networks import draw_weights

WIDTH = 32


def tiny_sam2(*, side: int = 128, seed: int = 0) -> Sam2Model:
    """SAM 2 of five blocks; 0.2 M parameters."""
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "image_size": [side, side],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": WIDTH,
    }
    decoder = {"hidden_size": WIDTH, "mlp_dim": 64, "iou_head_hidden_dim": 32}
    return built(
        lambda: Sam2Model(
            Sam2Config(
                vision_config=vision,
                prompt_encoder_config={"image_size": side, "hidden_size": WIDTH},
                mask_decoder_config=decoder,
            )
        ),
        seed,
    )


def tiny_sam_hq(*, side: int = 128, seed: int = 0) -> SamHQModel:
    """SAM-HQ of two layers; 0.1 M parameters."""
    vision = {
        "hidden_size": WIDTH,
        "output_channels": WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": side,
        "window_size": 4,
        "global_attn_indexes": [1, 2],
        "num_pos_feats": WIDTH // 2,
        "initializer_range": 0.02,
    }
    return built(
        lambda: SamHQModel(
            SamHQConfig(
                vision_config=vision,
                prompt_encoder_config={"image_size": side, "hidden_size": WIDTH},
                mask_decoder_config={"hidden_size": WIDTH, "mlp_dim": 64, "iou_head_hidden_dim": 32, "vit_dim": WIDTH},
            )
        ),
        seed,
    )


def tiny_mm_grounding_dino(
    *, queries: int = 30, seed: int = 0, to_train: bool = False
) -> MMGroundingDinoForObjectDetection:
    """MM-GroundingDINO of one encoder and two decoder layers on a Swin of one block a stage; 1.1 M parameters.

    `to_train`: with the library's own start, from which it learns, and one box head for both layers, so that a loss of
    the last one trains it all.
    """
    layers = {"encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    return built(
        lambda: MMGroundingDinoForObjectDetection(
            MMGroundingDinoConfig(
                backbone_config={
                    "model_type": "swin",
                    "embed_dim": 24,
                    "depths": [1] * 4,
                    "num_heads": [1, 2, 4, 8],
                    "window_size": 4,
                    "out_indices": [2, 3, 4],
                },
                text_config={
                    "model_type": "bert",
                    "vocab_size": 1100,
                    "hidden_size": WIDTH,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "intermediate_size": 64,
                },
                num_queries=queries,
                d_model=64,
                decoder_bbox_embed_share=to_train,
                decoder_cls_embed_share=False,
                **layers,
                **heads,
            )
        ),
        seed,
        redrawn=not to_train,
    )


def tiny_sam3(*, side: int = 112, seed: int = 0) -> Sam3Model:
    """SAM 3 of two layers a part; 0.3 M parameters."""
    small = {"hidden_size": WIDTH, "num_attention_heads": 2, "intermediate_size": 64}
    backbone = {
        "model_type": "sam3_vit_model",
        "num_hidden_layers": 2,
        "image_size": side,
        "window_size": 4,
        "global_attn_indexes": [1],
        "pretrain_image_size": 56,
        **small,
    }
    grid = side // 14
    text = {
        "model_type": "clip_text_model",
        "vocab_size": len(_clip_tokens()),
        "bos_token_id": len(_clip_tokens()) - 2,
        "eos_token_id": len(_clip_tokens()) - 1,
        "projection_dim": 16,
        "num_hidden_layers": 2,
        "max_position_embeddings": 32,
        "hidden_act": "gelu",
        **small,
    }
    return built(
        lambda: Sam3Model(
            Sam3Config(
                vision_config={
                    "backbone_config": backbone,
                    "fpn_hidden_size": WIDTH,
                    "backbone_feature_sizes": [[grid * scale] * 2 for scale in (4, 2, 1)],
                },
                text_config=text,
                geometry_encoder_config={"num_layers": 1, **small},
                detr_encoder_config={"num_layers": 1, **small},
                detr_decoder_config={"num_layers": 2, "num_queries": 20, **small},
                mask_decoder_config={"hidden_size": WIDTH, "num_attention_heads": 2},
            )
        ),
        seed,
    )


def built(build: Callable[[], Any], seed: int, *, redrawn: bool = True) -> Any:
    """A network whose weights are drawn from the seed; `redrawn`: so large that what comes in has a say in what comes
    out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
        for parameter in network.parameters() if redrawn else ():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return draw_weights(network, seed)


def save_folder(network: PreTrainedModel, folder: Path) -> Path:
    """config.json and model.safetensors, as transformers saves them."""
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    network.save_pretrained(folder)
    if bars:
        logging.enable_progress_bar()
    return folder


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Write a folder's weights again, changed."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})


def change_config(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Write a folder's configuration again, changed."""
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def same_weights(network: nn.Module, other: nn.Module) -> bool:
    """Whether two networks hold the same numbers under the same names."""
    one, two = network.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


_MERGES = [("d", "o"), ("do", "g</w>"), ("r", "e"), ("re", "d</w>")]


def _clip_tokens() -> list[str]:
    letters = [*string.ascii_lowercase, *string.digits]
    merged = ["".join(pair) for pair in _MERGES]
    return [*letters, *(f"{letter}</w>" for letter in letters), *merged, "<|startoftext|>", "<|endoftext|>"]


def write_clip_vocabulary(folder: Path) -> Path:
    """vocab.json and merges.txt of CLIP's kind, with letters and two words."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(_clip_tokens())}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, _MERGES)) + "\n")
    return folder
