"""Where real codes lie: two scores of their pictures, calibrated so that 95% of held-out real codes are inside.

Each is zero at or below the median of held-out codes and one at their 95% point; a code's score is their sum, in units
of its own 95% point. They are: the Mahalanobis distance of the decoded picture, seen coarsely, in the principal
subspace of the pictures that the training codes decode to; and the log of the residual between the decoded picture and
what is left of it after encoding and decoding again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.texts import Brief

INSIDE = 0.95  # share of held-out real codes within the limit
COMPONENTS = (1, 4)
FIT_CODES = 3000
LEAST_RESIDUAL = 0.1  # levels of 255, below which residuals count as one
AXES = 32  # principal directions of coarse pictures at most, and one for at least 4 codes
FLAT = 1e-4  # of the largest variance: pictures vary no less along an axis that is looked at
COARSE = 16  # pixels a side of a coarse picture at least, of one twice as large at most
FLOOR = 0.01  # of the mean variance: flatter directions of the codes are treated as this wide
MIN_CODES = 20
CALIBRATION = 600  # held-out codes used at most


class Coder(Protocol):
    """What a region needs of a codec."""

    @property
    def codes(self) -> np.ndarray:
        """The codes of the training pictures, (N, D)."""

    def encode(self, given: Any) -> np.ndarray:
        """Uint8 pictures (N, H, W, C) -> codes (N, D)."""

    def levels(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) -> pictures in levels of 255, float (N, H, W, C)."""


@dataclass(frozen=True, eq=False, repr=False)
class Support(Brief):
    """The region of real codes: `score` is at most 1 inside, 1 at the border, and grows with the distance outside."""

    centre: np.ndarray  # (D,)
    whiten: np.ndarray  # (D, D): (z - centre) @ whiten has unit covariance over the training codes
    weights: np.ndarray  # (K,) of the mixture, whose components have diagonal covariance in whitened space
    means: np.ndarray  # (K, D)
    variances: np.ndarray  # (K, D)
    picture: np.ndarray  # (S,) mean coarse picture
    axes: np.ndarray  # (A, S): (coarse picture - mean) @ axes.T has unit covariance over the training codes
    middle: np.ndarray  # (2,) medians of the two scores over held-out codes
    spread: np.ndarray  # (2,) distance from the median to the 95% point of each score
    limit: float  # the 95% point of the sum of the two

    def score(self, codec: Coder, codes: np.ndarray) -> np.ndarray:
        """How far out codes (N, D) are, (N,): up to 1 inside."""
        return self.excess(self.raw(codec, codes)).sum(1) / self.limit

    def raw(self, codec: Coder, codes: np.ndarray) -> np.ndarray:
        """Mahalanobis distance of the picture and log residual of codes (N, D), (N, 2)."""
        pictures = codec.levels(codes)
        again = codec.levels(codec.encode(pictures.round().astype(np.uint8)).astype(np.float64))
        residual = np.sqrt(np.square(again - pictures).mean((1, 2, 3)))
        distance = np.linalg.norm((coarse(pictures) - self.picture) @ self.axes.T, axis=1)
        return np.stack([distance, np.log(residual + LEAST_RESIDUAL)], axis=1)

    def excess(self, raw: np.ndarray) -> np.ndarray:
        """The scores (N, 2) above their medians over held-out codes, in units of the way to their 95% points."""
        return np.maximum((raw - self.middle) / self.spread, 0)

    def log_density(self, white: np.ndarray) -> np.ndarray:
        """Log density (N,) of whitened codes (N, D) in the mixture, in nats, without the constant of pi."""
        each = np.stack(
            [
                np.log(weight) - 0.5 * (np.square(white - mean) / variance + np.log(variance)).sum(1)
                for weight, mean, variance in zip(self.weights, self.means, self.variances, strict=True)
            ]
        )
        return np.logaddexp.reduce(each, axis=0)


def fit_support(codec: Coder, held_out: np.ndarray | None = None) -> Support:
    """Fit the region to the training codes and set its limit on held-out real codes (N, D).

    Without held-out codes, every fifth training code is kept from the fit and takes their place.
    """
    codes = codec.codes.astype(np.float64)
    if held_out is None:
        apart = np.arange(len(codes)) % 5 == 0
        codes, held_out = codes[~apart], codes[apart]
    if len(held_out) < 4 or len(codes) + len(held_out) < MIN_CODES:
        raise LatentdialError(f"a safe range needs at least {MIN_CODES} real codes: train on or fit more pictures")
    held_out = held_out[np.linspace(0, len(held_out) - 1, min(CALIBRATION, len(held_out))).astype(int)]
    centre = codes.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes.T)))
    whiten = vectors / np.sqrt(np.maximum(values, FLOOR * values.mean() + 1e-12))
    mixture = _mixture((codes - centre) @ whiten, (held_out - centre) @ whiten)
    fitted = Support(centre, whiten, *mixture, *_principal(codec, codes), np.zeros(2), np.ones(2), 1.0)
    raw = fitted.raw(codec, held_out)
    middle = np.median(raw, axis=0)
    spread = np.maximum(np.quantile(raw, INSIDE, axis=0) - middle, 1e-6)
    fitted = replace(fitted, middle=middle, spread=spread)
    return replace(fitted, limit=float(np.quantile(fitted.excess(raw).sum(1), INSIDE)))


def coarse(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, H, W, C) averaged over blocks, each as a row (N, S)."""
    side, n, channels = coarse_side(pictures.shape[1]), len(pictures), pictures.shape[3]
    block = pictures.shape[1] // side
    cut = pictures[:, : side * block, : side * block].reshape(n, side, block, side, block, channels)
    return cut.mean((2, 4), dtype=np.float64).reshape(n, -1)


def coarse_side(side: int) -> int:
    """Pixels a side of a coarse picture of one with this side."""
    return side // max(1, side // COARSE)


def _principal(codec: Coder, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean coarse picture (S,) that codes decode to, and principal directions (A, S) in units of their sd."""
    few = codes[np.linspace(0, len(codes) - 1, min(len(codes), FIT_CODES)).astype(int)]
    seen = coarse(codec.levels(few))
    mean = seen.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((seen - mean).T)))
    last = min(AXES, max(1, len(few) // 4), len(values))
    values, vectors = values[::-1][:last], vectors[:, ::-1][:, :last]
    kept = values >= max(FLAT * values[0], 1e-12)
    kept[0] = True
    return mean, (vectors[:, kept] / np.sqrt(np.maximum(values[kept], 1e-12))).T


def _mixture(white: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and variances of the Gaussian mixture that gives held-out codes the highest likelihood."""
    from sklearn.mixture import GaussianMixture

    few = white[np.linspace(0, len(white) - 1, min(len(white), FIT_CODES)).astype(int)]
    fits = [
        GaussianMixture(k, covariance_type="diag", reg_covar=1e-2, max_iter=60, tol=1e-2, random_state=0).fit(few)
        for k in COMPONENTS
        if len(few) >= 10 * k
    ]
    best = max(fits, key=lambda fit: fit.score(held_out))
    return best.weights_, best.means_, best.covariances_
