"""The flows of recipes in the report: what the stage measured, and one sentence of what it shows."""

import json
from math import isfinite
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError, model_validator

from bgdata.errors import InputError
from pipeline.report.pictures import data_uri
from pipeline.report.table import rounded, typeset

EMBEDDING = "embedding"
Images = Literal["original", "swapped"]
IMAGES: tuple[Images, ...] = ("original", "swapped")
_LEVEL = 0.05  # at which the two-sample test rejects


class Likelihood(BaseModel):
    """Of held-out copies given their photos, nats a dimension; the last of those that the flow was trained on."""

    flow: float
    gaussian: float
    flow_on_train: float


class TwoSample(BaseModel):
    """(photo, copy) against (photo, sample)."""

    statistic: float
    p_value: float
    counts: tuple[int, int]


class Calibration(BaseModel):
    """Latents against a standard normal: shares inside its balls, by their content; Kolmogorov-Smirnov distances."""

    coverage: dict[str, float]
    ks_mean: float
    ks_rejected: float


class FlowResult(BaseModel):
    """scores/flow/<recipe>.json, and its sheet as a data URI."""

    recipe: str
    checkpoint_sha256: str
    seed: int
    z_count: int
    kind: str
    width: int
    count: int
    likelihood: Likelihood
    two_sample: TwoSample
    calibration: Calibration
    accuracy: dict[Images, dict[str, float]]
    sheet: str

    @model_validator(mode="after")
    def _has_its_accuracies(self) -> "FlowResult":
        for images in IMAGES:
            for name in (EMBEDDING, str(self.z_count)):
                if name not in self.accuracy.get(images, {}):
                    raise ValueError(f"accuracy.{images} lacks {name}")
        return self

    def vote(self, images: Images) -> float:
        """The accuracy of the recipe's own vote, on photos (`original`) or on their copies (`swapped`)."""
        return self.accuracy[images][str(self.z_count)]

    @property
    def finding(self) -> str:
        """Is it better than a Gaussian, do its samples pass for real, do its votes gain: judged as rounded here."""
        samples = "1 sample" if self.z_count == 1 else f"{self.z_count} samples"
        return (
            f"On photos that it has not seen, the flow {self._against_gaussian()}; {self._against_real()}; its vote of "
            f"{samples}, beside the embedding alone, {self._against_embedding()}."
        )

    @property
    def numbers(self) -> dict[str, float]:
        """What `dvc metrics` shows; what is not finite is left out."""
        found = {
            "log_likelihood": self.likelihood.flow,
            "gaussian_log_likelihood": self.likelihood.gaussian,
            "two_sample_p": self.two_sample.p_value,
            "accuracy_original": self.vote("original"),
            "accuracy_swapped": self.vote("swapped"),
        }
        return {name: value for name, value in found.items() if isfinite(value)}

    def _against_gaussian(self) -> str:
        gain = self.likelihood.flow - self.likelihood.gaussian
        if not isfinite(gain):
            return "has no finite likelihood"
        size = f"{abs(gain):.2f}"
        if size == "0.00":
            return "is neither better nor worse than a Gaussian"
        return f"is {'better' if gain > 0 else 'worse'} than a Gaussian by {size} nats a dimension"

    def _against_real(self) -> str:
        tells = "tells" if self.two_sample.p_value <= _LEVEL else "does not tell"
        return f"the two-sample test {tells} its samples from real embeddings (p = {self.two_sample.p_value:.3f})"

    def _against_embedding(self) -> str:
        (original, first), (swapped, second) = (
            _change(self.vote(images) - self.accuracy[images][EMBEDDING]) for images in IMAGES
        )
        again = "" if swapped == original else f"{swapped} "
        return f"{original} on original photos ({first}) and {again}on swapped ones ({second})"


def read_flow(scores: Path, recipe: str) -> FlowResult:
    """What the flow stage wrote of a recipe.

    Raises InputError where a file is missing, is of another recipe, or is not what the stage writes.
    """
    path = scores / "flow" / f"{recipe}.json"
    try:
        sheet = data_uri("jpeg", path.with_suffix(".jpg").read_bytes())
        found = FlowResult.model_validate(json.loads(path.read_bytes()) | {"sheet": sheet})
    except FileNotFoundError as error:
        raise InputError(f"{error.filename} is missing: run `dvc repro flow`, or `dvc repro` for all") from None
    except ValidationError as error:
        first = error.errors()[0]
        fault = ".".join(map(str, first["loc"])) + f": {first['msg']}"
        raise InputError(f"{path} is no result of a flow ({fault}): run `dvc repro --force flow`") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}): run `dvc repro --force flow`") from None
    if found.recipe != recipe:
        raise InputError(f"{path} is of recipe {found.recipe}, not {recipe}: run `dvc repro --force flow`")
    return found


def _change(fraction: float) -> tuple[str, str]:
    """What a difference of two rates is called, and the difference in points."""
    value = rounded(100 * fraction, 1)
    name = (
        "gains more than 1 point" if value > 1 else "loses more than 1 point" if value < -1 else "stays within 1 point"
    )
    return name, typeset(f"{value:+.1f}") if value else "±0.0"
