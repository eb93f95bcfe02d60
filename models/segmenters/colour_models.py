"""GrabCut's models of colour: mixtures of five Gaussians, learned with NumPy, in the layout that OpenCV reads."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

COLOURS = 5  # a side; OpenCV fails on fewer pixels
# OpenCV refuses covariances whose determinant is below 1e-6, and adds noise to them; ours end well above.
_LEAST_DETERMINANT = 2e-6
_NOISE = 0.02
# Of the ten features of a colour (1, b, g, r and their products), those of each covariance's entries.
_PRODUCTS = np.array([[4, 5, 6], [5, 7, 8], [6, 8, 9]])


@dataclass(frozen=True)
class ColourModel:
    """A mixture of Gaussians over BGR colours; a component of weight 0 is not there. Weights need not sum to 1."""

    weights: Float[np.ndarray, "5"]
    means: Float[np.ndarray, "5 3"]
    covariances: Float[np.ndarray, "5 3 3"]

    @classmethod
    def from_opencv(cls, model: Float[np.ndarray, "1 65"]) -> "ColourModel":
        """The model that `cv2.grabCut` wrote."""
        weights, means, covariances = np.split(model[0], [COLOURS, 4 * COLOURS])
        return cls(weights, means.reshape(COLOURS, 3), covariances.reshape(COLOURS, 3, 3))

    def to_opencv(self) -> Float[np.ndarray, "1 65"]:
        """The model as `cv2.grabCut` takes it."""
        return np.concatenate([self.weights, self.means.ravel(), self.covariances.ravel()])[None]

    def relearned(self, features: Float[np.ndarray, "10 n"]) -> "ColourModel":
        """The model of these colours, each counted for the component under which it is likeliest.

        Source: Rother et al. 2004, "GrabCut", steps 1 and 2, as OpenCV does them (component by density, without its
        weight). Equal to OpenCV's to rounding.
        """
        nearest = (self._log_densities() @ features).argmax(0)
        sums = (nearest == np.arange(COLOURS)[:, None]) @ features.T
        counts = sums[:, 0]
        averages = sums / np.maximum(counts, 1)[:, None]
        means = averages[:, 1:4]
        covariances = averages[:, _PRODUCTS] - means[:, :, None] * means[:, None, :]
        return ColourModel(counts / max(counts.sum(), 1), means, _invertible(covariances))

    def squared(self) -> "ColourModel":
        """A mixture of each component's squared density: what a colour costs (-log) is doubled.

        It leaves out the products of two components, which matter only where both explain a colour equally well.
        """
        determinants = np.linalg.det(self.covariances)
        halved = _invertible(self.covariances / 2)
        roots = np.where(self.weights > 0, np.sqrt(np.maximum(determinants, _LEAST_DETERMINANT)), 1)
        return ColourModel((self.weights / roots) ** 2 * np.sqrt(np.linalg.det(halved)), self.means, halved)

    def _log_densities(self) -> Float[np.ndarray, "5 10"]:
        """Each component's log density, up to a constant, as coefficients of a colour's features."""
        there = self.weights > 0
        covariances = np.where(there[:, None, None], self.covariances, np.eye(3))
        precisions = np.linalg.inv(covariances)
        slopes = (precisions @ self.means[:, :, None])[:, :, 0]
        constants = -0.5 * (self.means * slopes).sum(1) - 0.5 * np.log(np.linalg.det(covariances))
        upper = precisions[:, *np.triu_indices(3)] * [-0.5, -1, -1, -0.5, -1, -0.5]
        coefficients = np.column_stack([constants, slopes, upper])
        coefficients[~there] = [-np.finfo(float).max] + [0] * 9
        return coefficients


def colour_features(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "10 n"]:
    """1, the three channels and their six products of each pixel, in float64: sums of them are exact."""
    channels = pixels.reshape(-1, 3).T.astype(np.float64)
    rows, columns = np.triu_indices(3)
    return np.concatenate([np.ones((1, channels.shape[1])), channels, channels[rows] * channels[columns]])


def relearn_both(
    models: tuple[ColourModel, ColourModel],
    features: Float[np.ndarray, "10 n"],
    foreground: Bool[np.ndarray, "h w"],
) -> tuple[ColourModel, ColourModel]:
    """The models of background and foreground, each of the colours on its side."""
    inside = foreground.ravel()
    return models[0].relearned(features[:, ~inside]), models[1].relearned(features[:, inside])


def _invertible(covariances: Float[np.ndarray, "5 3 3"]) -> Float[np.ndarray, "5 3 3"]:
    singular = np.linalg.det(covariances) <= _LEAST_DETERMINANT
    return covariances + singular[:, None, None] * (_NOISE * np.eye(3))
