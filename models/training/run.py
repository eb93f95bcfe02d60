"""What a training is given besides its recipe: how it runs, and where its data lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Run:
    """By which seed, on what, and in which folder a killed training finds its state."""

    seed: int
    device: torch.device
    precision: torch.dtype
    folder: Path


@dataclass(frozen=True)
class Stored:
    """Where the rendered sets lie, where they are kept decoded, and how many threads decode what is not there yet."""

    sets: Path
    pixels: Path
    workers: int

    def decoding(self, name: str) -> dict[str, Any]:
        """How `bgdata.pixels` decodes the images that are kept as `name`: `folder` and `workers`."""
        return {"folder": self.pixels / name, "workers": self.workers}
