"""A Gaussian at every place of a picture, and how far a picture is from it there (PaDiM, arXiv 2011.08785)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from latentdial.anomaly.views import View

PLACES = 32  # a side at which colours are seen, at most
FINE, COARSE = 0.5, 1 / 32  # sd of the two blurs of colours: pixels, and share of the side
RIDGE = 0.01  # of the mean variance, added to every covariance


@dataclass(frozen=True, eq=False)
class Places:
    """The distribution of F features at G x G places over normal pictures."""

    mean: np.ndarray  # (G, G, F)
    factor: np.ndarray  # (G, G, F, F): (features - mean) @ factor has unit covariance

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distances of features (B, G, G, F), float64 (B, G, G)."""
        n, side, _, count = features.shape
        offset = (features.astype(np.float64) - self.mean).reshape(n, side * side, count).transpose(1, 0, 2)
        white = offset @ self.factor.reshape(side * side, count, count)
        return np.linalg.norm(white, axis=2).T.reshape(n, side, side)


def fit_places(features: np.ndarray) -> Places:
    """The Gaussians of features (N, G, G, F) of normal pictures."""
    n, side, _, count = features.shape
    mean = features.mean(0, dtype=np.float64)
    offset = (features - mean).reshape(n, side * side, count).transpose(1, 2, 0).astype(np.float64)
    covariance = offset @ offset.transpose(0, 2, 1) / n
    ridge = RIDGE * np.einsum("pff->", covariance) / (side * side * count) + 1e-9
    factor = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(count)))
    return Places(mean, factor.reshape(side, side, count, count))


def colours(view: View) -> np.ndarray:
    """Colours and errors of pictures at every place, fine and blurred, float32 (B, G, G, 3 C)."""
    pictures = view.pictures.astype(np.float64) / 255
    both = np.concatenate([pictures, pictures - view.again / 255.0], axis=-1)
    side = pictures.shape[1]
    step = max(1, side // PLACES)
    coarse = gaussian_filter(both, max(FINE, COARSE * side), axes=(1, 2))
    seen = np.concatenate([gaussian_filter(pictures, FINE * step, axes=(1, 2)), coarse], axis=-1)
    return seen[:, step // 2 :: step, step // 2 :: step].astype(np.float32)
