"""What a training is given besides its recipe."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Run:
    """By which seed, on what, and in which folder a killed training finds its state."""

    seed: int
    device: torch.device
    precision: torch.dtype
    folder: Path
