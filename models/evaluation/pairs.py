"""The margins of foreground and background pairs: computed fast, and in float32 where rounding could decide.

A pair's margin is the logit of the foreground's class less the best other one. Below zero, the background fools the
model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor, nn

from bgdata.classes import ClassList
from bgdata.compose.paste import paste_foreground
from bgdata.errors import InputError
from models.classifiers.folding import fold_batch_norms
from models.classifiers.judged import Judged, run_network
from models.classifiers.programs import Program
from models.devices import exact_arithmetic

# Composites in a forward pass that decides: always as many (filled up where there are fewer), so that a pair's verdict
# depends on nothing else that is judged.
DECIDING = 16
# Images of the challenge may fill this share of a GPU's free memory; more are copied batch by batch.
_SHARE = 0.5
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class ChallengeData:
    """Foregrounds with their masks (hard, or alphas with a soft edge), labels and ids, the backgrounds that each is put
    on, and the labels' list.
    """

    foregrounds: UInt8[np.ndarray, "n h w 3"]
    masks: Bool[np.ndarray, "n h w"] | Float32[np.ndarray, "n h w"]
    labels: Int64[np.ndarray, " n"]
    ids: tuple[str, ...]
    backgrounds: UInt8[np.ndarray, "m h w 3"]
    background_labels: Int64[np.ndarray, " m"]
    background_ids: tuple[str, ...]
    class_list: ClassList


class Margins:
    """A model's margins on composites that are made on the device.

    `decide` is the verdict: the model as it is, in float32, in batches of one size. `estimate` is the fast way there:
    batch norms folded, bfloat16 where asked for, batches as large as the device likes; how far it is off is measured.
    """

    def __init__(
        self, model: Judged, data: ChallengeData, *, device: torch.device, eval_batch: int, precision: torch.dtype
    ) -> None:
        self._model = model.to(device).eval()
        self._device = device
        self._batch = eval_batch
        self.precision = precision
        self._images = _AtRest(data) if device.type == "cpu" else _OnDevice(data, device)
        self._labels = torch.from_numpy(data.labels).to(device)
        self._fast = self._folded().to(memory_format=torch.channels_last)

    def estimate(
        self, foregrounds: Int64[np.ndarray, " p"], backgrounds: Int64[np.ndarray, " p"]
    ) -> Float32[np.ndarray, " p"]:
        """The margins of pairs (indices of foregrounds and backgrounds), up to rounding."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(foregrounds), self._batch):
                stop = start + self._batch
                composites, labels = self._composites(foregrounds[start:stop], backgrounds[start:stop])
                prepared = self._model.prepare(composites)
                logits = self._run_fast(prepared).float()
                parts.append(self._margins(self._model.checked(logits), labels))
        return torch.cat(parts).cpu().numpy()

    def decide(
        self, foregrounds: Int64[np.ndarray, " p"], backgrounds: Int64[np.ndarray, " p"]
    ) -> Float32[np.ndarray, " p"]:
        """The margins of pairs in float32, below zero exactly where the prediction is another class."""
        return self._exactly(foregrounds, backgrounds, self._margins)

    def predict(
        self, foregrounds: Int64[np.ndarray, " p"], backgrounds: Int64[np.ndarray, " p"]
    ) -> Int64[np.ndarray, " p"]:
        """The predicted class of pairs, as `decide` computes them (the last label + 1: none of the list)."""
        return self._exactly(foregrounds, backgrounds, lambda logits, _: self._model.class_logits(logits).argmax(1))

    def _exactly(
        self, foregrounds: np.ndarray, backgrounds: np.ndarray, read: Callable[[Tensor, Tensor], Tensor]
    ) -> np.ndarray:
        count = len(foregrounds)
        filled = np.arange(-(-count // DECIDING) * DECIDING) % count
        parts = []
        with torch.inference_mode(), exact_arithmetic():
            for place in filled.reshape(-1, DECIDING):
                composites, labels = self._composites(foregrounds[place], backgrounds[place])
                parts.append(read(self._model(composites), labels))
        return torch.cat(parts)[:count].cpu().numpy()

    def _folded(self) -> nn.Module:
        """The network with its batch norms folded, if that can be done and runs on batches of any size."""
        network = self._model.network
        folded = None if isinstance(network, Program) else fold_batch_norms(network)
        if folded is None:
            return network
        try:
            with torch.inference_mode():
                for count in (1, 3):
                    place = np.zeros(count, np.int64)
                    folded(self._model.prepare(self._images.paste(place, place)))
        except Exception:  # code that tracing misunderstood fails as it likes
            return network
        return folded

    def _run_fast(self, prepared: Tensor) -> Any:
        if self.precision == torch.float32:
            with exact_arithmetic():
                return run_network(self._fast, prepared)
        try:
            with torch.autocast(self._device.type, self.precision):
                return self._fast(prepared)
        except RuntimeError as error:
            said, name = str(error).splitlines()[0], str(self.precision).removeprefix("torch.")
            raise InputError(f"the model does not run in {name} ({said}): choose float32") from error

    def _composites(self, foregrounds: np.ndarray, backgrounds: np.ndarray) -> tuple[Tensor, Tensor]:
        index = torch.from_numpy(foregrounds).to(self._device, non_blocking=True)
        return self._images.paste(foregrounds, backgrounds), self._labels[index]

    def _margins(self, logits: Tensor, labels: Tensor) -> Tensor:
        by_class = self._model.class_logits(logits)
        own = by_class.gather(1, labels[:, None])
        best_other = by_class.scatter(1, labels[:, None], -torch.inf).amax(1)
        margins = own[:, 0] - best_other
        # Of equal logits argmax takes the first.
        is_right = by_class.argmax(1) == labels
        return torch.where(is_right, margins.clamp(min=_SMALLEST), margins.clamp(max=-_SMALLEST))


class _AtRest:
    """The challenge's images where they lie: pasted one by one, which takes a CPU a tenth of what tensors do.

    Composites are written over by the next ones: on new memory each time they would take twice as long.
    """

    def __init__(self, data: ChallengeData) -> None:
        self._data = data
        self._pasted = np.empty((0, *data.backgrounds.shape[1:]), np.uint8)
        self._floats = torch.empty(self._pasted.shape)

    def paste(self, foregrounds: np.ndarray, backgrounds: np.ndarray) -> Float32[Tensor, "b 3 h w"]:
        """Composites in [0, 1], channels last in memory."""
        count, data = len(foregrounds), self._data
        if count > len(self._pasted):
            self._pasted = np.empty((count, *self._pasted.shape[1:]), np.uint8)
            self._floats = torch.empty(self._pasted.shape)
        pasted = self._pasted[:count]
        for composite, foreground, background in zip(pasted, foregrounds, backgrounds, strict=True):
            composite[:] = paste_foreground(
                data.backgrounds[background], data.foregrounds[foreground], data.masks[foreground]
            )
        return self._floats[:count].copy_(torch.from_numpy(pasted)).div_(255).permute(0, 3, 1, 2)


class _OnDevice:
    """The challenge's images on a GPU where they fit, else copied from pinned memory batch by batch."""

    def __init__(self, data: ChallengeData, device: torch.device) -> None:
        self._device = device
        arrays = (data.foregrounds, data.masks, data.backgrounds)
        resident = sum(array.nbytes for array in arrays) < _SHARE * _free_memory(device)
        self._foregrounds, self._masks, self._backgrounds = (
            torch.from_numpy(array).to(device) if resident else torch.from_numpy(array) for array in arrays
        )

    def paste(self, foregrounds: np.ndarray, backgrounds: np.ndarray) -> Float32[Tensor, "b 3 h w"]:
        """Composites in [0, 1], channels last in memory."""
        images = self._take(self._foregrounds, foregrounds).permute(0, 3, 1, 2)
        masks = self._take(self._masks, foregrounds)[:, None]
        behind = self._take(self._backgrounds, backgrounds).permute(0, 3, 1, 2)
        if masks.is_floating_point():  # rounded to grey levels, as at rest
            return paste_foreground(behind.float(), images.float(), masks).round_().div_(255)
        return paste_foreground(behind, images, masks).float().div_(255)

    def _take(self, images: Tensor, place: np.ndarray) -> Tensor:
        index = torch.from_numpy(place)
        if images.device.type == self._device.type:
            return images[index.to(self._device, non_blocking=True)]
        return images[index].pin_memory().to(self._device, non_blocking=True)


def _free_memory(device: torch.device) -> int:
    return int(torch.cuda.mem_get_info(device)[0])
