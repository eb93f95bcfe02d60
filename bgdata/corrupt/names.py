"""Which corruptions there are, without how they are made: what settings and results need to know."""

from dataclasses import dataclass

from bgdata.errors import InputError

# The fifteen that mPC and mCE are over, in the published order.
STANDARD_NAMES = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
# Four that were held out to tune on; they count apart.
EXTRA_NAMES = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
NAMES = (*STANDARD_NAMES, *EXTRA_NAMES)
SEVERITIES = (1, 2, 3, 4, 5)
# Pixels: smaller images have no room for what some corruptions do.
SMALLEST = 32
# What of a photo is corrupted.
REGIONS = ("whole", "foreground", "background")


@dataclass(frozen=True, order=True)
class Corruption:
    """One corruption at one severity, on the whole photo or on a part of it.

    Raises InputError where there is no such corruption, severity or region.
    """

    name: str
    severity: int
    region: str = "whole"

    def __post_init__(self) -> None:
        for value, known, what in (
            (self.name, NAMES, "corruption"),
            (self.severity, SEVERITIES, "severity"),
            (self.region, REGIONS, "region"),
        ):
            if value not in known:
                raise InputError(f"{value!r} is no {what}: give one of {', '.join(map(str, known))}")

    @property
    def folder(self) -> str:
        """Where its images lie in a folder of corrupted sets: `<region>/<corruption>/<severity>`."""
        return f"{self.region}/{self.name}/{self.severity}"
