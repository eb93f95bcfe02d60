"""From the settings to a filler. The network is imported where one is built: OpenCV's workers need no torch."""

from pathlib import Path

from bgdata.compose.fill import Filler, OpenCvFiller
from bgdata.compose.settings import FilledSettings
from bgdata.fetch.sources import SOURCES

SOURCE = "big_lama"
# Crops in one pass of the network. Photos have sizes of their own, and the CPU gains nothing by batches.
_CROPS_ON_CUDA = 8


def load_filler(settings: FilledSettings, *, weights: Path, device: str) -> Filler:
    """The filler that `settings.method` names; `weights` is the folder of fetched weights, a folder for each source.

    Raises InputError where LaMa's weights are missing or wrong, or the device is not there.
    """
    if settings.method != "lama":
        return OpenCvFiller(settings.method, settings.radius)
    from models.devices import resolve_device
    from models.inpainting.lama import load_lama

    (remote,) = SOURCES[SOURCE]
    path = weights / SOURCE / remote.name if settings.weights is None else Path(settings.weights)
    found = resolve_device(device)
    batch = _CROPS_ON_CUDA if found.type == "cuda" and settings.at == "crop" else 1
    return load_lama(path, device=found, batch=batch)
