"""Where in the code space the data lie: three scores of a code, calibrated so that 95% of held-out real codes are inside.

The scores are minus the log density in a mixture fitted to the training codes, the distance from the shell on which
the norms of real codes lie, and the residual of decoding and encoding again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.codec import Codec

INSIDE = 0.95  # share of held-out real codes within the limit
COMPONENTS = (1, 2, 4, 8)
FLOOR = 0.01  # of the mean variance: flatter directions of the codes are treated as this wide
MAX_STEPS = 8.0  # sd; a safe range is not looked for further out
MIN_CODES = 20
CALIBRATION = 600  # held-out codes used at most


@dataclass(frozen=True, eq=False)
class Support:
    """The region of real codes: `score` is below 1 inside, 1 at the border, and grows with the distance outside."""

    centre: np.ndarray  # (D,)
    whiten: np.ndarray  # (D, D): (z - centre) @ whiten has unit covariance over the training codes
    weights: np.ndarray  # (K,) of the mixture, whose components have diagonal covariance in whitened space
    means: np.ndarray  # (K, D)
    variances: np.ndarray  # (K, D)
    middle: np.ndarray  # (4,) median norm, then the medians of the three scores over held-out codes
    spread: np.ndarray  # (3,) distance from the median to the 95% point of each score
    limit: float  # the 95% point of the largest standardised score

    def score(self, codec: Codec, codes: np.ndarray) -> np.ndarray:
        """How far out codes (N, D) are, (N,): the worst of the three scores in units of the limit."""
        return self.standardised(self.raw(codec, codes)).max(1) / self.limit

    def raw(self, codec: Codec, codes: np.ndarray) -> np.ndarray:
        """The three scores of codes (N, D), (N, 3)."""
        white = (codes - self.centre) @ self.whiten
        norms = np.linalg.norm(codes - self.centre, axis=1)
        back = codec.encode(codec.decode(codes)) if len(codes) else codes
        residual = np.linalg.norm((back - codes) @ self.whiten, axis=1)
        return np.stack([-self.log_density(white), np.abs(norms - self.middle[0]), residual], axis=1)

    def standardised(self, raw: np.ndarray) -> np.ndarray:
        return (raw - self.middle[1:]) / self.spread

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
    norm = np.median(np.linalg.norm(codes - centre, axis=1))
    fitted = Support(centre, whiten, *mixture, np.array([norm, 0, 0, 0]), np.ones(3), 1.0)
    raw = fitted.raw(codec, held_out)
    middle = np.median(raw, axis=0)
    spread = np.maximum(np.quantile(raw, INSIDE, axis=0) - middle, 1e-6)
    limit = np.quantile(((raw - middle) / spread).max(1), INSIDE)
    return Support(centre, whiten, *mixture, np.array([norm, *middle]), spread, float(limit))


def _mixture(white: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and variances of the Gaussian mixture that gives held-out codes the highest likelihood."""
    from sklearn.mixture import GaussianMixture

    few = white[np.linspace(0, len(white) - 1, min(len(white), 4000)).astype(int)]
    fits = [
        GaussianMixture(k, covariance_type="diag", reg_covar=1e-2, max_iter=60, tol=1e-2, random_state=0).fit(few)
        for k in COMPONENTS
        if len(few) >= 10 * k
    ]
    best = max(fits, key=lambda fit: fit.score(held_out))
    return best.weights_, best.means_, best.covariances_


def safe_ranges(codec: Codec, codes: np.ndarray, steps: np.ndarray, rounds: int = 5) -> np.ndarray:
    """How far codes (N, D) can move along steps (K, D) and stay inside: (K, N, 2), multiples of the step down and up.

    Found by halving between 0 and 8 steps; a code that starts outside may go as far as it is no further out.
    """
    support = codec.support
    limit = np.maximum(1.0, support.score(codec, codes))[None, :, None]
    inner = np.zeros((len(steps), len(codes), 2))
    outer = np.full_like(inner, MAX_STEPS)
    signs = np.array([-1.0, 1.0])
    tried = outer
    for _ in range(rounds + 1):
        amounts = (tried * signs)[..., None]
        moved = codes[None, :, None] + amounts * steps[:, None, None]
        inside = support.score(codec, moved.reshape(-1, moved.shape[-1])).reshape(inner.shape) <= limit
        inner, outer = np.where(inside, tried, inner), np.where(inside, outer, tried)
        tried = (inner + outer) / 2
    return inner * signs
