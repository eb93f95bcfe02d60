"""A map of embeddings: where photos lie, where they go on other backgrounds, and where the flow says they would."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from bgdata.sheets.sheet import Colour, SheetRow
from models.classifiers.classifier import Classifier
from models.flow.diagnostics import Embedded, spread
from models.flow.features import image_features
from models.flow.network import FlowHead
from models.flow.swaps import Swaps

COLUMNS = ("photo", "on another background", "embeddings (PCA)")
# Okabe and Ito's blue and orange, as on the other sheets.
LEGEND: Mapping[str, Colour] = {"photo": (25, 25, 25), "real": (0, 114, 178), "sampled": (230, 159, 0)}
_OTHERS: Colour = (215, 215, 215)
_COPIES = 48
_BATCH = 64


@dataclass(frozen=True)
class ImageCell:
    """An image as it is, with a line of caption."""

    image: UInt8[np.ndarray, "h w 3"]
    words: str

    @property
    def caption(self) -> tuple[str, ...]:
        """The line below the picture."""
        return (self.words,)

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The picture, `side` x `side` pixels."""
        return np.asarray(cv2.resize(self.image, (side, side), interpolation=cv2.INTER_LINEAR))


@dataclass(frozen=True)
class MapCell:
    """Points on a plane: all photos in grey, and those of `LEGEND`; `limits` are the plane's corners (x, y)."""

    others: Float[np.ndarray, "n 2"]
    points: Mapping[str, Float[np.ndarray, "_ 2"]]
    limits: tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]
    words: str

    @property
    def caption(self) -> tuple[str, ...]:
        """The line below the picture."""
        return (self.words,)

    def draw(self, *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
        """The map, `side` x `side` pixels; what lies outside is drawn at its edge."""
        canvas = np.full((side, side, 3), 255, np.uint8)
        self._dot(canvas, self.others, _OTHERS, 1)
        for name in ("real", "sampled", "photo"):
            self._dot(canvas, self.points[name], LEGEND[name], 5 if name == "photo" else 2)
        return np.asarray(cv2.rectangle(canvas, (0, 0), (side - 1, side - 1), _OTHERS))

    def _dot(self, canvas: UInt8[np.ndarray, "s s 3"], points: np.ndarray, colour: Colour, radius: int) -> None:
        low, high = self.limits
        for x, y in ((points - low) / (high - low)).clip(0.02, 0.98) * len(canvas):
            cv2.circle(canvas, (int(x), int(y)), radius, colour, cv2.FILLED, cv2.LINE_AA)


def sheet_rows(
    backbone: Classifier, head: FlowHead, swaps: Swaps, val: Embedded, *, count: int, seed: int
) -> list[SheetRow]:
    """A row for `count` photos of as many classes as there are: the photo, one swapped copy, and the map (PCA)."""
    plane = _principal_plane(val.given.double().numpy())
    everywhere = plane(val.given.double().numpy())
    margin = 0.25 * (everywhere.max(0) - everywhere.min(0))
    limits = (everywhere.min(0) - margin, everywhere.max(0) + margin)
    places = _one_a_class(swaps.labels)[:count]
    sampled = spread(head, val.given[places], count=_COPIES, seed=seed)
    rows = []
    for place, samples in zip(places, sampled, strict=True):
        copies = swaps.paste(np.full(_COPIES, place), swaps.draw(place, _COPIES, seed=seed))
        features = image_features(backbone, copies, batch=_BATCH, precision=torch.float32)
        with torch.inference_mode():
            real = head.embed(features).numpy()
        points = {"photo": val.given[place][None].numpy(), "real": real, "sampled": samples}
        placed = {name: plane(values.astype(np.float64)) for name, values in points.items()}
        cells = (
            ImageCell(swaps.photos[place], "as it is"),
            ImageCell(copies[0], f"one of {_COPIES} others"),
            MapCell(everywhere, placed, limits, "all photos of val in grey"),
        )
        rows.append(SheetRow(f"{swaps.classes.names[swaps.labels[place]]} ({swaps.ids[place]})", cells))
    return rows


def _principal_plane(points: Float[np.ndarray, "n w"]) -> Callable[[np.ndarray], np.ndarray]:
    """What maps points to the plane of the two directions in which these vary most."""
    centre = points.mean(0)
    directions = np.linalg.svd(points - centre, full_matrices=False)[2][:2]
    directions *= np.sign(directions[:, np.abs(directions).argmax(1)].diagonal())[:, None]  # SVD leaves the sign open
    return lambda others: (others - centre) @ directions.T


def _one_a_class(labels: np.ndarray) -> list[int]:
    """The first photo of each class, then the second of each ..."""
    turns = [int((labels[:place] == label).sum()) for place, label in enumerate(labels)]
    return sorted(range(len(labels)), key=lambda place: (turns[place], place))
