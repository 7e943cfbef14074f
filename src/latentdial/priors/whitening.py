"""Codes to white codes and back: mean zero, covariance one, so that every other density starts from a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from latentdial.texts import Brief

FLAT = 1e-6  # of the largest sd, or of the mean: dimensions are taken to vary no less
LEAST = 1e-12  # sd where all codes are zero
SHRINKAGES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # of correlations
FOLDS, MANY = 5, 1000  # parts that are kept apart in turn, and codes from which one part is enough
ROUNDING = 1e-6  # keeps a singular correlation positive definite


@dataclass(frozen=True, eq=False, repr=False)
class Whitening(Brief):
    """code = mean + root @ white, with `root` (D, D) lower triangular; float32, as they are stored."""

    mean: np.ndarray  # (D,)
    root: np.ndarray  # (D, D)

    def white(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) -> white codes (N, D), float64."""
        centred = np.asarray(codes, np.float64) - self.mean
        return solve_triangular(self.root.astype(np.float64), centred.T, lower=True).T

    def colour(self, white: np.ndarray) -> np.ndarray:
        """White codes (N, D) -> codes (N, D), float64."""
        return self.mean + np.asarray(white, np.float64) @ self.root.T.astype(np.float64)

    @property
    def log_volume(self) -> float:
        """log |det root|: how much more the log density of a white code is than that of its code, in nats."""
        return float(np.log(np.diagonal(self.root).astype(np.float64)).sum())


def fit_whitening(codes: np.ndarray) -> Whitening:
    """The mean and the covariance of codes (N, D), correlations shrunk as much as suits codes that are kept apart."""
    codes = np.asarray(codes, np.float64)
    if len(codes) < FOLDS:
        return _whitening(codes, SHRINKAGES[-1])
    scores = np.zeros(len(SHRINKAGES))
    for fold in range(FOLDS if len(codes) < MANY else 1):
        kept = np.arange(len(codes)) % FOLDS == fold
        for i, shrinkage in enumerate(SHRINKAGES):
            tried = _whitening(codes[~kept], shrinkage)
            scores[i] -= 0.5 * np.square(tried.white(codes[kept])).sum() + kept.sum() * tried.log_volume
    return _whitening(codes, SHRINKAGES[int(np.argmax(scores))])


def _whitening(codes: np.ndarray, shrinkage: float) -> Whitening:
    mean, sd = codes.mean(0), codes.std(0)
    sd = np.maximum(sd, np.maximum(FLAT * np.maximum(sd.max(), np.abs(mean)), LEAST))
    standard = (codes - mean) / sd
    correlation = (1 - shrinkage) * standard.T @ standard / len(codes)
    np.fill_diagonal(correlation, 1.0 + ROUNDING)
    return Whitening(mean.astype(np.float32), (sd[:, None] * np.linalg.cholesky(correlation)).astype(np.float32))
