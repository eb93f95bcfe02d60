"""LaMa: a published inpainting network behind our Protocol.

The published TorchScript is read for its weights alone, which go into a generator of our own. Conventions are those of
the published program and of its callers: the hole is black in the image and 1 in a fourth channel, the right and lower
sides are continued by their mirror image to multiples of 8 (the hole's with them), and 255 times the answer stands in
the hole; rounded here, cut there.

Source: Suvorov et al. 2022; ForAug (Nauen et al. 2025) fills with it in this way.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from bgdata.compose.fill import check_hole
from bgdata.errors import InputError
from models.classifiers.programs import load_torchscript
from models.devices import exact_arithmetic
from models.inpainting.network import MULTIPLE, SMALLEST, Generator
from models.weights.files import load_weights
from models.weights.states import is_program, read_content

# Of the tensors of a published file: beside the generator, a training's checkpoint holds what judged it.
_FIRST = "model.1.ffc.convl2l.weight"


class LamaFiller:
    """Fills holes by a generator in float32, `batch` images of one size at a time.

    A batch is always as large as that, filled up with copies, so that an answer does not depend on what else is asked.
    """

    def __init__(self, network: Generator, *, device: torch.device, batch: int) -> None:
        self._network, self._device, self._batch = network.to(device).eval(), device, batch

    def fill(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], holes: Sequence[Bool[np.ndarray, "_ _"]]
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Fill each hole; see `Filler`."""
        filled = [image.copy() for image in images]
        places: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, hole in enumerate(holes):
            check_hole(hole)
            if hole.any():
                places[_padded_size(hole)].append(place)
        for size, alike in places.items():
            for start in range(0, len(alike), self._batch):
                some = alike[start : start + self._batch]
                found = self._answers([_network_input(images[place], holes[place], size) for place in some])
                for place, answer in zip(some, found, strict=True):
                    _paste(answer, into=filled[place], hole=holes[place])
        return filled

    def _answers(self, inputs: list[Float32[np.ndarray, "4 H W"]]) -> Float32[np.ndarray, "b 3 H W"]:
        count = len(inputs)
        stacked = torch.from_numpy(np.stack(inputs + inputs[-1:] * (self._batch - count)))
        with torch.inference_mode(), exact_arithmetic():
            return self._network(stacked.to(self._device))[:count].cpu().numpy()


def load_lama(path: Path, *, device: torch.device, batch: int = 1) -> LamaFiller:
    """The filler with the weights of a file: the published TorchScript, a training's checkpoint, or a state dict.

    Raises InputError where the file is missing, cut short, holds code or other weights than big-lama's.
    """
    if not path.is_file():
        raise InputError(
            f"the weights {path} are missing: run `dvc repro fetch_weights@inpainting` (runtime.mirror names another "
            "server or a folder to take them from), or name a local file in backgrounds.<name>.weights"
        )
    network, state = Generator(), _read_generator(path)
    load_weights(network, state, source=str(path))
    if not all(value.isfinite().all() for value in state.values()):
        raise InputError(f"{path} holds weights that are NaN or infinite: the file is damaged; download it again")
    return LamaFiller(network, device=device, batch=batch)


def _read_generator(path: Path) -> dict[str, Tensor]:
    """The generator's tensors by its own names, and whatever else stands under the same root."""
    content: Any = load_torchscript(path).state_dict() if is_program(path) == "torchscript" else read_content(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    named = content.items() if isinstance(content, Mapping) else ()
    state = {str(key): value for key, value in named if isinstance(value, Tensor)}
    roots = [key.removesuffix(_FIRST) for key in state if key.endswith(_FIRST)]
    if len(roots) != 1:
        raise InputError(
            f"{path} holds {'several generators' if roots else 'no generator'} of LaMa's (tensors named "
            f"...{_FIRST}): give big-lama.pt, or the state dict of the big model"
        )
    return {key.removeprefix(roots[0]): value for key, value in state.items() if key.startswith(roots[0])}


def _padded_size(hole: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    height, width = (max(-(-side // MULTIPLE) * MULTIPLE, SMALLEST) for side in hole.shape)
    return height, width


def _network_input(
    image: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"], size: tuple[int, int]
) -> Float32[np.ndarray, "4 H W"]:
    seen = np.where(hole[..., None], np.float32(0), image / np.float32(255))
    channels = np.concatenate([seen, hole[..., None].astype(np.float32)], axis=2).transpose(2, 0, 1)
    height, width = hole.shape
    return np.pad(channels, ((0, 0), (0, size[0] - height), (0, size[1] - width)), mode="symmetric")


def _paste(
    answer: Float32[np.ndarray, "3 H W"], *, into: UInt8[np.ndarray, "h w 3"], hole: Bool[np.ndarray, "h w"]
) -> None:
    height, width = hole.shape
    grey = np.rint(answer[:, :height, :width].transpose(1, 2, 0) * 255)
    into[hole] = grey.clip(0, 255).astype(np.uint8)[hole]
