"""Where real codes lie: two scores of their pictures, calibrated so that 95% of held-out real codes are inside.

Each is zero at or below the median of held-out codes and one at their 95% point; a code's score is their sum, in units
of its own 95% point. They are: the Mahalanobis distance of the decoded picture, seen coarsely, in the principal
subspace of the pictures that the training codes decode to; and the log of the residual between the decoded picture and
what is left of it after encoding and decoding again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec

INSIDE = 0.95  # share of held-out real codes within the limit
COMPONENTS = (1, 4)
FIT_CODES = 3000
LEAST_RESIDUAL = 0.1  # levels of 255, below which residuals count as one
AXES = 32  # principal directions of coarse pictures at most, and one for at least 4 codes
FLAT = 1e-4  # of the largest variance: pictures vary no less along an axis that is looked at
COARSE = 16  # pixels a side of a coarse picture at least, of one twice as large at most
FLOOR = 0.01  # of the mean variance: flatter directions of the codes are treated as this wide
MAX_STEPS = 8.0  # sd; a safe range is not looked for further out
MIN_CODES = 20
CALIBRATION = 600  # held-out codes used at most
SLACK = 1e-3  # of a score, by which it may differ with the size of a batch
REACH = 0.999  # share of the training codes between the two ends of a direction


@dataclass(frozen=True, eq=False)
class Support:
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

    def score(self, codec: Codec, codes: np.ndarray) -> np.ndarray:
        """How far out codes (N, D) are, (N,): up to 1 inside."""
        return self.excess(self.raw(codec, codes)).sum(1) / self.limit

    def raw(self, codec: Codec, codes: np.ndarray) -> np.ndarray:
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


def fit_support(codec: Codec, held_out: np.ndarray | None = None) -> Support:
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


def _principal(codec: Codec, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def left(score: np.ndarray | float, start: np.ndarray | float) -> np.ndarray:
    """Whether codes of these scores are beyond the border, and further out than where they started."""
    return np.asarray(score > np.maximum(1.0, start) + SLACK)


def safe_ranges(codec: Codec, codes: np.ndarray, steps: np.ndarray, rounds: int = 4) -> np.ndarray:
    """How far codes (N, D) can move along steps (K, D) and stay inside: (K, N, 2), multiples of the step down and up.

    Found by halving between 0 and where the training codes end along the step, at most 8 steps; a code that starts
    outside may go as far as it is no further out.
    """
    start = codec.support.score(codec, codes)
    outer, signs = _room(codec, codes, steps), np.array([-1.0, 1.0])
    inner, tried = np.zeros_like(outer), outer.copy()
    for _ in range(rounds + 1):
        k, n, side = where = np.nonzero(inner < outer)
        if not len(k):
            break
        at = tried[where]
        moved = codes[n] + (at * signs[side])[:, None] * steps[k]
        inside = ~left(codec.support.score(codec, moved), start[n])
        inner[where] = np.where(inside, at, inner[where])
        outer[where] = np.where(inside, outer[where], at)
        tried = (inner + outer) / 2
    return inner * signs


def reach(codec: Codec, vector: np.ndarray) -> tuple[float, float]:
    """The coordinates along a unit vector (D,) between which 99.9% of the training codes lie."""
    low, high = np.quantile(codec.codes @ vector, [(1 - REACH) / 2, (1 + REACH) / 2])
    return float(low), float(high)


def _room(codec: Codec, codes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Multiples of steps (K, D), down and up, from codes (N, D) to where the training codes end: (K, N, 2)."""
    lengths = np.maximum(np.linalg.norm(steps, axis=1), 1e-12)
    units = steps / lengths[:, None]
    ends = np.array([reach(codec, unit) for unit in units])
    room = (ends[:, None] - (units @ codes.T)[..., None]) / lengths[:, None, None]
    return np.clip(room * [-1.0, 1.0], 0, MAX_STEPS).round(3)  # the same for vectors of float32 and float64
