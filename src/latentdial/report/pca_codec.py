"""PCA with as many numbers as a run's decoder sees, on the same training pictures: what every figure stands beside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, pi

import numpy as np

from latentdial.errors import LatentdialError
from latentdial.latent.likelihood import Likelihood
from latentdial.measure.codes import active_units

LEAST_NOISE = 1 / 12  # in squared levels: the variance of what is spread evenly over the width of a level
MAX_VALUES = 100_000_000  # of training pictures, which PCA holds as float32


@dataclass(frozen=True, eq=False)
class PcaCodec:
    """Codes in units of a level of 255, along the leading principal components of pictures."""

    mean: np.ndarray  # (P,)
    axes: np.ndarray  # (D, P)
    variances: np.ndarray  # (D,) of the training codes
    left: float  # mean variance along each of the other P - D directions
    shape: tuple[int, ...]  # (H, W, C)
    pictures: int  # that it was fitted to

    @property
    def unlikely(self) -> str:
        """Why pictures have no likelihood under it; empty where they have.

        Its noise is what pictures vary by along the directions left out. Few pictures have few directions, and where
        most are kept as components the rest hardly vary: a likelihood would tell of that and nothing of PCA.
        """
        kept = len(self.axes)
        if self.pictures > 2 * kept:
            return ""
        return (
            f"{self.pictures:,} training pictures leave PCA with {kept:,} numbers too little to estimate noise from, "
            f"so it has no likelihood here: that takes more than {2 * kept:,}"
        )

    def first(self, count: int) -> PcaCodec:
        """PCA with only the first so many of these numbers; all where there are no more."""
        across = len(self.mean) - len(self.axes)
        dropped = self.variances[count:]
        left = (across * self.left + float(dropped.sum())) / max(across + len(dropped), 1)
        return replace(self, axes=self.axes[:count], variances=self.variances[:count], left=left)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 pictures (N, H, W, C) -> codes (N, D)."""
        return (pictures.reshape(len(pictures), -1).astype(np.float32) - self.mean) @ self.axes.T

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (N, D) -> uint8 pictures (N, H, W, C)."""
        levels = self.mean + np.asarray(codes, np.float32) @ self.axes
        return levels.clip(0, 255).round().astype(np.uint8).reshape(-1, *self.shape)

    def reconstruct(self, pictures: np.ndarray) -> np.ndarray:
        return self.decode(self.encode(pictures))

    def likelihood(self, pictures: np.ndarray, seed: int = 0) -> Likelihood:
        """The figures of probabilistic PCA for uint8 pictures (N, H, W, C), all exact: its posterior is known."""
        rng = np.random.default_rng(seed)
        levels = pictures + rng.random(pictures.shape, np.float32) - np.float32(0.5)
        noise = max(self.left, LEAST_NOISE)
        variances = np.maximum(self.variances, noise).astype(np.float64)
        means = self.encode(levels).astype(np.float64) * np.sqrt(variances - noise) / variances
        log_px, shrunk = self.log_likelihood(levels), noise / variances
        rate = 0.5 * (np.square(means) + shrunk - 1 - np.log(shrunk)).sum(1)
        tells = float(-0.5 * np.log(shrunk).sum())
        return Likelihood(
            log_px=log_px,
            elbo=log_px,
            distortion=-log_px - rate,
            rate=rate,
            informed=(tells, tells),
            active=active_units(means),
            latent=len(self.axes),
            samples=1,
            values=len(self.mean),
            kind="density",
            how="levels spread evenly over their width",
        )

    def log_likelihood(self, pictures: np.ndarray) -> np.ndarray:
        """log p (N,) in nats, of levels of 255, under probabilistic PCA (Tipping & Bishop 1999, eq. 8 and 12)."""
        values, kept = len(self.mean), len(self.axes)
        noise = max(self.left, LEAST_NOISE)
        along = self.encode(pictures).astype(np.float64)
        centred = pictures.reshape(len(pictures), -1).astype(np.float32) - self.mean
        across = np.square(centred, dtype=np.float64).sum(1) - np.square(along).sum(1)
        variances = np.maximum(self.variances, noise).astype(np.float64)
        volume = values * log(2 * pi) + np.log(variances).sum() + (values - kept) * log(noise)
        return -0.5 * (volume + (np.square(along) / variances).sum(1) + across.clip(0) / noise)


def fit_pca(pictures: np.ndarray, count: int) -> PcaCodec:
    """PCA with `count` components, or as many as the uint8 pictures (N, H, W, C) allow."""
    from sklearn.decomposition import PCA

    values = int(np.prod(pictures.shape[1:]))
    some = pictures[:: max(1, -(-len(pictures) * values // MAX_VALUES))]
    flat = some.reshape(len(some), -1).astype(np.float32)
    count = min(count, len(flat) - 1, values)
    if count < 1:
        raise LatentdialError("PCA needs at least two training pictures: evaluate a run with more of them")
    found = PCA(count, svd_solver="randomized", iterated_power=3, random_state=0).fit(flat)
    total = float(flat.var(0, dtype=np.float64).sum())
    variances = found.explained_variance_ * ((len(flat) - 1) / len(flat))  # of these pictures, as the total is
    left = max(total - float(variances.sum()), 0.0) / max(values - count, 1)
    return PcaCodec(found.mean_, found.components_, variances, left, pictures.shape[1:], len(flat))
