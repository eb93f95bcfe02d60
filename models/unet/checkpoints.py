"""Trained U-Nets at rest: weights and a record of where they came from, loadable without running code."""

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import timm
import torch

from bgdata.errors import InputError
from models.unet.network import UNet, build_unet
from models.weights import load_weights, read_torch_file, save_whole

_NEEDED = ("state_dict", "encoder", "depth", "size", "threshold")


def save_unet(path: Path, unet: UNet, *, threshold: float, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a U-Net with its record (params, data hashes, seed); returns the record completed.

    The file is written whole, and its bytes depend on the content alone.
    """
    complete = {
        "encoder": unet.encoder,
        "depth": unet.depth,
        "size": unet.size,
        "threshold": threshold,
        **record,
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "segmentation_models_pytorch": smp.__version__,
            "timm": timm.__version__,
            "numpy": np.__version__,
        },
    }
    state = {key: value.cpu().contiguous() for key, value in unet.network.state_dict().items()}
    save_whole({"state_dict": state, **complete}, path)
    return complete


def read_unet(path: Path) -> tuple[UNet, dict[str, Any]]:
    """A U-Net in evaluation mode, on the CPU, and its record (`threshold` among it).

    Raises InputError where the file is missing, broken, holds code, is another program's, or belies its own record.
    """
    content = read_torch_file(path)
    missing = [key for key in _NEEDED if not isinstance(content, dict) or key not in content]
    if missing:
        raise InputError(
            f"{path} was not written by the train_unet stage (it lacks {', '.join(missing)}): give a copy of "
            "runs/unet/model.pt"
        )
    state = content.pop("state_dict")
    unet = build_unet(content["encoder"], depth=content["depth"], size=content["size"])
    load_weights(unet.network, state, source=str(path))
    return unet.eval(), content
