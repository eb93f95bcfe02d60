"""Trained U-Nets at rest: weights and a record of where they came from, loadable without running code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm

from models.unet.network import UNet, build_unet
from models.weights.files import load_weights, read_network, save_network

_NEEDED = ("encoder", "depth", "size", "threshold")


def save_unet(path: Path, unet: UNet, *, threshold: float, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write a U-Net with its record (params, data hashes, seed); returns the record completed."""
    built = {"encoder": unet.encoder, "depth": unet.depth, "size": unet.size, "threshold": threshold}
    versions = {"segmentation_models_pytorch": smp.__version__, "timm": timm.__version__}
    return save_network(path, unet.network, built | dict(record), versions=versions)


def read_unet(path: Path) -> tuple[UNet, dict[str, Any]]:
    """A U-Net in evaluation mode, on the CPU, and its record (`threshold` among it).

    Raises InputError where the file is missing, broken, holds code, is another program's, or belies its own record.
    """
    state, record = read_network(path, _NEEDED, stage="train_unet", advice="give a copy of runs/unet/model.pt")
    unet = build_unet(record["encoder"], depth=record["depth"], size=record["size"])
    load_weights(unet.network, state, source=str(path))
    return unet.eval(), record
