"""How dense the codes of training pictures are about a code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.images import spread

NEIGHBOURS = 5
MEMORY = 3000  # codes of training pictures that neighbours are looked for among, at most
COMPONENTS = 4
PER_COMPONENT = 30  # codes at least
POWER = 0.5  # of the whitening in which neighbours are near: 0 leaves the codes as they are, 1 makes all axes alike


@dataclass(frozen=True, eq=False)
class Density:
    """Codes are seen along their principal axes, in units of their standard deviation there."""

    centre: np.ndarray  # (D,)
    axes: np.ndarray  # (D, D): (code - centre) @ axes has unit covariance
    stretch: np.ndarray  # (D,) of the axes, for neighbours
    memory: np.ndarray  # (M, D) stretched codes of training pictures
    weights: np.ndarray  # (K,) of a mixture of Gaussians with diagonal covariances
    means: np.ndarray  # (K, D)
    variances: np.ndarray  # (K, D)

    def white(self, codes: np.ndarray) -> np.ndarray:
        """Codes (B, D) in standard deviations along the principal axes."""
        return (codes.astype(np.float64) - self.centre) @ self.axes

    def mahalanobis(self, codes: np.ndarray) -> np.ndarray:
        """The Mahalanobis distances of codes (B, D) from all, (B,)."""
        return np.linalg.norm(self.white(codes), axis=1)

    def to_neighbours(self, codes: np.ndarray) -> np.ndarray:
        """The mean distance of codes (B, D) to the nearest of the memory, (B,)."""
        at = self.white(codes) * self.stretch
        squares = np.square(at).sum(1)[:, None] + np.square(self.memory).sum(1) - 2 * at @ self.memory.T
        k = min(NEIGHBOURS, len(self.memory))
        return np.sqrt(np.maximum(np.sort(squares, axis=1)[:, :k], 0)).mean(1)

    def surprise(self, codes: np.ndarray) -> np.ndarray:
        """-log density of codes (B, D) in the mixture, along the principal axes, in nats, (B,)."""
        at = self.white(codes)[:, None]
        each = np.square(at - self.means) / self.variances + np.log(2 * np.pi * self.variances)
        return -np.logaddexp.reduce(np.log(self.weights) - 0.5 * each.sum(2), axis=1)


def fit_density(codes: np.ndarray) -> Density:
    """The density of the codes (N, D) of training pictures, its covariance shrunk as Ledoit and Wolf (2004) do."""
    from sklearn.covariance import ledoit_wolf
    from sklearn.mixture import GaussianMixture

    centre = codes.mean(0, dtype=np.float64)
    covariance, _ = ledoit_wolf(codes.astype(np.float64) - centre, assume_centered=True)
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 1e-8 * values.max() + 1e-12)
    axes = vectors / np.sqrt(values)
    few = codes[spread(len(codes), MEMORY)]
    white = (few.astype(np.float64) - centre) @ axes
    count = max(1, min(COMPONENTS, len(few) // PER_COMPONENT))
    mixture = GaussianMixture(count, covariance_type="diag", reg_covar=1e-2, max_iter=60, tol=1e-2, random_state=0)
    mixture.fit(white if len(white) > 1 else np.repeat(white, 2, axis=0))
    stretch = values ** ((1 - POWER) / 2)
    return Density(centre, axes, stretch, white * stretch, mixture.weights_, mixture.means_, mixture.covariances_)
